"""What the search may vary: a distribution for any dotted path of the experiment file."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from hybridbatch.spec.settings import Settings

Scalar = bool | int | float | str
Number = Annotated[float, Field(allow_inf_nan=False)]


def _check_range(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"empty range: low < high must hold, but got low={low}, high={high}")


class Distribution(Settings):
    """How the values of one dotted path are drawn.

    Attributes:
        complement: Another dotted path that is set to one minus the value, such as the other weight of a mix of two.
    """

    complement: str | None = None


class Uniform(Distribution):
    """A real number, every one in [low, high] equally likely."""

    uniform: tuple[Number, Number]

    @field_validator("uniform")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        _check_range(*bounds)
        return bounds


class LogUniform(Distribution):
    """A positive real number whose logarithm is uniform in [log low, log high]."""

    log_uniform: tuple[Number, Number]

    @field_validator("log_uniform")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        _check_range(*bounds)
        if bounds[0] <= 0:
            raise ValueError(f"0 < low must hold for a logarithmic range, but got low={bounds[0]}")
        return bounds


class IntegerRange(Distribution):
    """A whole number from low to high, both included."""

    integer: tuple[int, int]
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> IntegerRange:
        _check_range(*self.integer)
        if self.log and self.integer[0] < 1:
            raise ValueError(f"1 <= low must hold for a logarithmic range, but got low={self.integer[0]}")
        return self


class Choice(Distribution):
    """One of the values listed."""

    choice: tuple[Scalar, ...]

    @field_validator("choice")
    @classmethod
    def _distinct(cls, values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        if not values:
            raise ValueError("empty choice: at least one value must be listed")
        if len(set(values)) < len(values):  # 1, 1.0 and true are equal: no store would tell them apart
            raise ValueError(f"a value is listed twice in {list(values)}")
        return values

    @model_validator(mode="after")
    def _has_complements(self) -> Choice:
        for value in self.choice:
            if self.complement is not None and (isinstance(value, bool | str)):
                raise ValueError(f"only numbers have a complement, but got {value!r}")
        return self


AnyDistribution = Uniform | LogUniform | IntegerRange | Choice
KEYS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "integer": IntegerRange,
    "choice": Choice,
}


def distribution_name(value: Any) -> str | None:
    """Return which distribution ``value`` states, by the key that it holds."""
    if isinstance(value, Distribution):
        return next(name for name, kind in KEYS.items() if type(value) is kind)
    return next((name for name in KEYS if isinstance(value, dict) and name in value), None)


def middle(distribution: AnyDistribution) -> Scalar:
    """Return a value that the distribution may take: its middle, or its first choice."""
    if isinstance(distribution, Uniform):
        return sum(distribution.uniform) / 2
    if isinstance(distribution, LogUniform):
        return math.sqrt(math.prod(distribution.log_uniform))
    if isinstance(distribution, IntegerRange):
        return sum(distribution.integer) // 2
    return distribution.choice[0]


def extremes(distribution: AnyDistribution) -> tuple[Scalar, ...]:
    """Return the values that a path must accept for the whole distribution to be acceptable."""
    if isinstance(distribution, Uniform):
        return distribution.uniform
    if isinstance(distribution, LogUniform):
        return distribution.log_uniform
    if isinstance(distribution, IntegerRange):
        return distribution.integer
    return distribution.choice
