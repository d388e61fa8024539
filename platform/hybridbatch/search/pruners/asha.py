"""Asynchronous successive halving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from hybridbatch.foundation.registries import PRUNERS
from hybridbatch.spec.settings import Settings


@PRUNERS.register("asha")
class SuccessiveHalvingSettings(Settings):
    """Asynchronous successive halving, stopping variant (Li et al., arXiv 1810.05934).

    Rungs lie at ``minimum_steps * reduction ** k`` steps. At a rung a trial goes on if it is among the best
    ``1 / reduction`` of the trials that reached this rung so far; the first at a rung always goes on. This is
    the rule of Optuna's pruner; Ray Tune's scheduler cuts at the percentile of that share instead. With several
    objectives the best are the first in the order of Pareto fronts (MO-ASHA, arXiv 2106.12639).

    Attributes:
        minimum_steps: Steps that every trial gets.
        reduction: How many trials a survivor of a rung has beaten, itself included.
    """

    kind: str
    minimum_steps: Annotated[int, Field(ge=1)] = 100
    reduction: Annotated[int, Field(ge=2)] = 3

    def is_rung(self, step: int, evaluate_every: int) -> bool:
        """Return whether a decision is due at ``step``: the first evaluation at or after a rung."""
        rung = self.minimum_steps
        while rung <= step:
            if step - evaluate_every < rung:
                return True
            rung *= self.reduction
        return False

    def goes_on(self, value: float, others: Sequence[float]) -> bool:
        """Return whether a trial goes on.

        Args:
            value: Its measure at this rung, or minus its place in the order; larger is better.
            others: The same of every other trial that reached this rung.
        """
        if math.isnan(value):
            return False
        reached = len(others) + 1
        better = sum(other > value for other in others)
        return better < max(1, math.floor(reached / self.reduction))
