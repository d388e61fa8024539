"""Median rule."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from hybridbatch.foundation.registries import PRUNERS
from hybridbatch.spec.settings import Settings


@PRUNERS.register("median")
class MedianSettings(Settings):
    """Ends a trial that is worse than the median of the others at the same step (Golovin et al. 2017).

    With several objectives it ends one that stands behind the middle of the order of Pareto fronts.

    Attributes:
        minimum_steps: Steps that every trial gets.
        minimum_trials: Trials that must have reached a step before anything is ended there.
    """

    kind: str
    minimum_steps: Annotated[int, Field(ge=1)] = 100
    minimum_trials: Annotated[int, Field(ge=1)] = 4

    def is_rung(self, step: int, evaluate_every: int) -> bool:
        """Return whether a decision is due at ``step``."""
        return step >= self.minimum_steps

    def goes_on(self, value: float, others: Sequence[float]) -> bool:
        """Return whether a trial with ``value`` (larger is better) goes on beside ``others``."""
        if math.isnan(value):
            return False
        return len(others) < self.minimum_trials or value >= statistics.median(others)
