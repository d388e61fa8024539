"""Baselines over their seeds: how large each measure is, how far seeds scatter, and which differences exceed that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridbatch.report.collect import StudyTable, TrialRow

MEASURES = ("map_mono", "map_cross", "map_multi", "rank_distance")
MOST_IN_PAIRS = 5  # baselines; of more of them the first, which the file begins with, is compared with each other


@dataclass(frozen=True)
class Spread:
    """A measure over the seeds of one baseline.

    Attributes:
        mean: Its mean.
        deviation: Its standard deviation (n - 1), None with one seed.
        seeds: Number of seeds.
    """

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class BaselineGroup:
    """The complete trials of one baseline on one data set.

    Attributes:
        baseline: Its name.
        dataset: The data set; ``selection`` when the study has no report set.
        trials: Numbers of the trials.
        measures: Spread by measure.
    """

    baseline: str
    dataset: str
    trials: tuple[int, ...]
    measures: dict[str, Spread]


@dataclass(frozen=True)
class BaselineDifference:
    """The difference of two baselines in one measure, against the seed noise.

    Attributes:
        dataset: The data set.
        measure: The measure.
        first: Name of a baseline.
        second: Name of another.
        difference: Mean of ``first`` minus mean of ``second``.
        pooled_deviation: Standard deviation over seeds, pooled over both; None when neither has two seeds.
        ratio: Size of the difference in units of it; None without it, or when it is 0.
    """

    dataset: str
    measure: str
    first: str
    second: str
    difference: float
    pooled_deviation: float | None
    ratio: float | None


def baseline_groups(table: StudyTable) -> list[BaselineGroup]:
    """Return the baselines of a study, by report set, in order of their first trial."""
    named: dict[str, list[TrialRow]] = {}
    for row in table.complete:
        if row.result.baseline:
            named.setdefault(row.result.baseline, []).append(row)
    return groups_of(table, named)


def groups_of(table: StudyTable, named: Mapping[str, Sequence[TrialRow]]) -> list[BaselineGroup]:
    """Return trials that differ by their seed alone, given by name, by report set."""
    groups = []
    for dataset in table.report_sets or ("selection",):
        for name, rows in named.items():
            of_set = [(row.result.number, _summary(row, dataset)) for row in rows]
            of_set = [(number, summary) for number, summary in of_set if summary]
            measures = {
                measure: spread_of([summary[measure] for _, summary in of_set if measure in summary])
                for measure in MEASURES
                if any(measure in summary for _, summary in of_set)
            }
            if measures:
                groups.append(BaselineGroup(name, dataset, tuple(number for number, _ in of_set), measures))
    return groups


def baseline_differences(groups: Sequence[BaselineGroup]) -> list[BaselineDifference]:
    """Return every pair of baselines on the same data set, by measure; of more than five, the first and each other one.

    Ten baselines have 45 pairs, in which nobody finds the nine that an ablation asks for.
    """
    by_dataset: dict[str, list[BaselineGroup]] = {}
    for group in groups:
        by_dataset.setdefault(group.dataset, []).append(group)
    pairs: list[tuple[BaselineGroup, BaselineGroup]] = []
    for first, *others in by_dataset.values():
        if len(others) < MOST_IN_PAIRS:
            pairs += combinations([first, *others], 2)
        else:
            pairs += [(first, other) for other in others]
    return [
        _difference(a, b, measure)
        for a, b in pairs
        for measure in MEASURES
        if measure in a.measures and measure in b.measures
    ]


def pooled_deviation(first: Spread, second: Spread) -> float | None:
    """Return sqrt(((n1-1) s1^2 + (n2-1) s2^2) / (n1 + n2 - 2)), None when both have one seed."""
    freedom = first.seeds + second.seeds - 2
    if freedom < 1:
        return None
    squares = ((spread.seeds - 1) * (spread.deviation or 0.0) ** 2 for spread in (first, second))
    return math.sqrt(sum(squares) / freedom)


def _difference(first: BaselineGroup, second: BaselineGroup, measure: str) -> BaselineDifference:
    a, b = first.measures[measure], second.measures[measure]
    noise = pooled_deviation(a, b)
    gap = a.mean - b.mean
    ratio = abs(gap) / noise if noise else None
    return BaselineDifference(first.dataset, measure, first.baseline, second.baseline, gap, noise, ratio)


def _summary(row: TrialRow, dataset: str) -> dict[str, float]:
    if dataset in row.result.report:
        return row.result.report[dataset].summary
    return row.selection if dataset == "selection" else {}


def spread_of(values: list[float]) -> Spread:
    """Return mean and standard deviation of a measure over seeds."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))
