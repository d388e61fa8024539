"""How early evaluations order trials as the end does: whether pruning at a rung can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridbatch.report.collect import StudyTable

FEWEST = 3  # trials: two are in the same order or not, by chance


@dataclass(frozen=True)
class RungCorrelation:
    """Rank correlation of one objective at one step with its final value.

    Attributes:
        step: Optimizer steps done.
        metric: The objective.
        trials: Complete trials that were evaluated there and trained on.
        tau: Kendall's tau-b (Kendall 1945), from -1 to 1: the share of pairs of trials in the order of the end, less
            the share of those in the opposite one; None where all trials have one value.
    """

    step: int
    metric: str
    trials: int
    tau: float | None


def rung_correlations(table: StudyTable) -> list[RungCorrelation]:
    """Return the correlations of a study by step, for steps with at least three trials.

    Only complete trials have a final value: where many were pruned these are the good ones, which are harder to tell
    from each other than all would be.
    """
    from scipy.stats import kendalltau

    found = []
    for index, objective in enumerate(table.objectives):
        pairs: dict[int, list[tuple[float, float]]] = {}
        for row in table.complete:
            for rung in row.result.rungs:
                early = rung.summary.get(objective.metric, math.nan)
                if rung.step < row.result.steps and row.result.values is not None and not math.isnan(early):
                    pairs.setdefault(rung.step, []).append((early, row.result.values[index]))
        for step, values in pairs.items():
            if len(values) >= FEWEST:
                tau = float(kendalltau(*zip(*values, strict=True)).statistic)
                found.append(RungCorrelation(step, objective.metric, len(values), None if math.isnan(tau) else tau))
    return sorted(found, key=lambda one: one.step)
