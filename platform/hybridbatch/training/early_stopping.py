"""Ends a trial that no longer gets better, and remembers where it was best."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybridbatch.spec.experiment import EarlyStopping
from hybridbatch.spec.objectives import Objective


@dataclass
class BestSoFar:
    """The best evaluation so far, by the first objective.

    Attributes:
        step: Its step, None before the first evaluation.
        value: Its measure.
        waited: Evaluations since without improvement.
    """

    step: int | None = None
    value: float | None = None
    waited: int = 0

    def see(self, step: int, value: float, objective: Objective, settings: EarlyStopping) -> bool:
        """Take note of an evaluation; return whether it is the best so far; one without a value (NaN) is not."""
        sign = 1 if objective.direction == "maximize" else -1
        if not math.isnan(value) and (self.value is None or sign * (value - self.value) > settings.minimum_improvement):
            self.step, self.value, self.waited = step, value, 0
            return True
        self.waited += 1
        return False
