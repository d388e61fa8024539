"""Hyperband."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated

from pydantic import Field

from hybridbatch.foundation.registries import PRUNERS
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.search.pruners.asha import SuccessiveHalvingSettings
from hybridbatch.spec.settings import Settings


@PRUNERS.register("hyperband")
class HyperbandSettings(Settings):
    """Successive halving that begins early for some trials and late for others (Hyperband, arXiv 1603.06560).

    Each trial belongs to a bracket: an ``asha`` of its own, whose trials are compared with each other alone, with the
    first rung at ``minimum_steps * reduction ** bracket``. So trials that begin slowly have their chance in late
    brackets. Early brackets get more trials, in the shares of Optuna's pruner: about as many steps go into each. The
    bracket follows from the seed of the study and the number of the trial.

    Attributes:
        minimum_steps: Steps that every trial of the first bracket gets.
        reduction: How many trials a survivor of a rung has beaten, itself included.
        brackets: Number of brackets; one that begins after the last step ends no trial.
    """

    kind: str
    minimum_steps: Annotated[int, Field(ge=1)] = 100
    reduction: Annotated[int, Field(ge=2)] = 3
    brackets: Annotated[int, Field(ge=2, le=10)] = 3

    def shares(self) -> list[int]:
        """Return of how many trials, out of their sum, each bracket gets one."""
        halvings = range(self.brackets - 1, -1, -1)  # that the bracket has more than the last one
        return [math.ceil(self.brackets * self.reduction**more / (more + 1)) for more in halvings]

    def bracket(self, seed: int, number: int) -> int:
        """Return the bracket of trial ``number`` in a study of ``seed``."""
        shares = self.shares()
        return bisect.bisect_right(list(accumulate(shares)), derive_seed(seed, "bracket", number) % sum(shares))

    def within(self, bracket: int) -> SuccessiveHalvingSettings:
        """Return the rule for trials of ``bracket``."""
        first = self.minimum_steps * self.reduction**bracket
        return SuccessiveHalvingSettings(kind="asha", minimum_steps=first, reduction=self.reduction)

    def is_rung(self, step: int, evaluate_every: int) -> bool:
        """Return whether a decision is due at ``step`` in the first bracket, which has every rung of the others."""
        return self.within(0).is_rung(step, evaluate_every)

    def goes_on(self, value: float, others: Sequence[float]) -> bool:
        """Return whether a trial goes on beside the others of its bracket; see ``asha``."""
        return self.within(0).goes_on(value, others)
