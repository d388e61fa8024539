"""What a study may use, and what it used."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from hybridbatch.spec.settings import Settings, rejected

_Limit = Annotated[float, Field(gt=0)]


class Spent(NamedTuple):
    """What a study used so far; its fields are those of :class:`Budget`."""

    hours: float = 0.0
    worker_hours: float = 0.0
    gpu_hours: float = 0.0


class Budget(Settings):
    """What a study may use. Once any of it is spent no further trial begins; those that did run to their end.

    Attributes:
        hours: Hours in which at least one trial was being worked on: a study that is paused spends none.
        worker_hours: Hours of every worker, in all attempts at trials, with what interruptions lost.
        gpu_hours: The same for every GPU.
    """

    hours: _Limit | None = None
    worker_hours: _Limit | None = None
    gpu_hours: _Limit | None = None

    @model_validator(mode="after")
    def _some_limit(self) -> Budget:
        if not self.limits:
            raise rejected("a budget without a limit", allowed=", ".join(Spent._fields), remedy="or leave it out")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are given, by name."""
        return {name: limit for name in Spent._fields if (limit := getattr(self, name)) is not None}

    def is_spent(self, spent: Spent) -> bool:
        """Return whether any of it is."""
        return any(getattr(spent, name) >= limit for name, limit in self.limits.items())
