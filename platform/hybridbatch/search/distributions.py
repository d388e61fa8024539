"""The search space in Optuna's terms: the one place where the two meet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hybridbatch.spec.search_space import AnyDistribution, IntegerRange, LogUniform, Uniform


def to_optuna(distribution: AnyDistribution) -> BaseDistribution:
    """Return Optuna's distribution; both ends of a range are included on either side."""
    if isinstance(distribution, Uniform):
        return FloatDistribution(*distribution.uniform)
    if isinstance(distribution, LogUniform):
        return FloatDistribution(*distribution.log_uniform, log=True)
    if isinstance(distribution, IntegerRange):
        return IntDistribution(*distribution.integer, log=distribution.log)
    return CategoricalDistribution(distribution.choice)


def space_to_optuna(space: Mapping[str, AnyDistribution]) -> dict[str, BaseDistribution]:
    """Return the whole search space in Optuna's terms."""
    return {path: to_optuna(distribution) for path, distribution in space.items()}


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether the distribution can give ``value``."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def in_type(distribution: BaseDistribution, value: Any) -> Any:
    """Return ``value``, which the distribution contains, in the type in which it gives it."""
    return distribution.to_external_repr(distribution.to_internal_repr(value))


def at_fraction(distribution: BaseDistribution, fraction: float) -> Any:
    """Return the value below which a ``fraction`` of a distribution lies.

    Evenly spread fractions give every value as often as the distribution does.

    Args:
        distribution: A real or whole range, on a linear or logarithmic scale, or choices.
        fraction: From 0 to 1, both included.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[min(int(fraction * len(distribution.choices)), len(distribution.choices) - 1)]
    ranged = _range(distribution)
    low, high = _ends(ranged)
    value = low + fraction * (high - low)
    if ranged.log:
        value = math.exp(value)
    if isinstance(ranged, IntDistribution):
        value = round(value)
    return min(max(value, ranged.low), ranged.high)


def fraction_of(distribution: BaseDistribution, value: float) -> float:
    """Return the share of a range that lies below ``value``, half of the value itself included if it is whole."""
    ranged = _range(distribution)
    low, high = _ends(ranged)
    return ((math.log(value) if ranged.log else value) - low) / (high - low)


def _range(distribution: BaseDistribution) -> FloatDistribution | IntDistribution:
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise TypeError(f"a range is needed, but got {distribution}")
    return distribution


def _ends(distribution: FloatDistribution | IntDistribution) -> tuple[float, float]:
    """Return where a range begins and ends on its own scale; a whole number is as wide as 1."""
    half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
    low, high = distribution.low - half, distribution.high + half
    return (math.log(low), math.log(high)) if distribution.log else (low, high)
