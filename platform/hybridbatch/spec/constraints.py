"""Bounds that a trial has to keep to: the best trial is looked for among those that do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import field_validator, model_validator

from hybridbatch.spec.objectives import objective_directions
from hybridbatch.spec.settings import Settings, rejected, unknown_name


class Constraint(Settings):
    """A bound on a measure of the selection set, such as a ceiling on language bias.

    Attributes:
        metric: The measure.
        at_most: The largest value that keeps to it. One of the two is given.
        at_least: The smallest value that keeps to it.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        names = objective_directions()
        if metric not in names:
            raise unknown_name("metric", metric, names)
        return metric

    @model_validator(mode="after")
    def _one_bound(self) -> Constraint:
        if (self.at_most is None) == (self.at_least is None):
            seen = {"at_most": self.at_most, "at_least": self.at_least}
            raise rejected("a constraint has one bound", seen=seen, allowed="at_most or at_least")
        return self

    @property
    def name(self) -> str:
        """The constraint as people write it: ``rank_distance <= 100``."""
        return f"{self.metric} >= {self.at_least:g}" if self.at_most is None else f"{self.metric} <= {self.at_most:g}"

    def excess(self, measures: Mapping[str, float]) -> float:
        """Return by how much a trial breaks the constraint, zero or less if it keeps to it; NaN if it has no value."""
        value = measures.get(self.metric, math.nan)
        return value - self.at_most if self.at_most is not None else (self.at_least or 0.0) - value


def each_once(constraints: Sequence[Constraint]) -> None:
    """Raise the error of a validator if two constraints bound a measure on the same side."""
    sides = [(one.metric, one.at_most is None) for one in constraints]
    for index, side in enumerate(sides):
        if side in sides[:index]:
            names = [one.name for one in constraints]
            raise rejected("a measure has two bounds on one side", at=f"constraints.{index}", seen=names)
