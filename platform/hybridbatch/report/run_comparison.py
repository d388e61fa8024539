"""Two or more runs compared: which differences hold, with confidence intervals and corrected p-values.

Shape legend: M measures, K comparisons of the family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.metrics.significance.bootstrap import Interval, paired_bootstrap
from hybridbatch.metrics.significance.clustered_means import ClusteredMeans, Floats
from hybridbatch.metrics.significance.holm import holm
from hybridbatch.metrics.significance.randomisation import randomisation_test
from hybridbatch.metrics.significance.two_level import two_level_test
from hybridbatch.report.baselines import MEASURES
from hybridbatch.report.paired_scores import PairedScores, check_measures, pair_scores
from hybridbatch.report.runs import Run
from hybridbatch.spec.objectives import objective_directions

TestName = Literal["randomisation", "bootstrap", "two-level"]


@dataclass(frozen=True)
class ComparisonSettings:
    """How runs are compared.

    Attributes:
        measures: The measures.
        per_language: Whether the questions of each language are compared, too.
        cells: Whether each pair of languages is compared, too.
        against: Name of the run that all others are compared with; None compares every pair.
        test: The test; None takes the two-level one where a system has several runs, else randomisation.
        interval: Kind of the interval of single runs.
        resamples: Number of resamples.
        seed: Seed of the drawing.
        alpha: Level of significance of the whole family, and one less the confidence of each interval.
    """

    measures: tuple[str, ...] = MEASURES
    per_language: bool = False
    cells: bool = False
    against: str | None = None
    test: TestName | None = None
    interval: Interval = "bca"
    resamples: int = 10_000
    seed: int = 0
    alpha: float = 0.05


@dataclass(frozen=True)
class RunDifference:
    """The difference of two runs in one figure.

    Attributes:
        dataset: The data set; None for files of scores that do not say theirs.
        first: Name of a run.
        second: Name of another.
        measure: The measure.
        place: None for the headline, ``de`` for questions in a language, ``de-en`` for one cell.
        first_mean: The figure of ``first``, over the questions that both have.
        second_mean: The figure of ``second``.
        difference: ``first_mean`` less ``second_mean``.
        low: Lower end of the confidence interval of the difference; None with a single parallel question.
        high: Upper end.
        effect: The difference in standard deviations of what single parallel questions add to it (Cohen's d_z); None
            where they do not scatter.
        p: Two-sided p-value.
        cautious_p: What is corrected: with several seeds a larger one, which holds in the far tail too; else the same.
        p_holm: That one, corrected for the family by Holm's method.
        holds: Whether it is at most alpha.
        better: ``first`` or ``second``; None when the difference does not hold, or neither way is better.
        items: Parallel questions that it rests on.
        seeds: Runs of either system.
        test: ``randomisation``, ``bootstrap`` or ``two-level``.
        exact: Whether all exchanges were looked at, and none drawn.
    """

    dataset: str | None
    first: str
    second: str
    measure: str
    place: str | None
    first_mean: float
    second_mean: float
    difference: float
    low: float | None
    high: float | None
    effect: float | None
    p: float
    cautious_p: float
    items: int
    seeds: tuple[int, int]
    test: TestName
    exact: bool
    p_holm: float = 1.0
    holds: bool = False
    better: Literal["first", "second"] | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether its p-value is a share of resamples that were drawn, and so no smaller than one of them."""
        return self.test != "two-level" and not self.exact


@dataclass(frozen=True)
class RunComparison:
    """All comparisons of one call: one family.

    Attributes:
        settings: How it was done.
        runs: Runs by data set.
        differences: The differences.
        notes: What a reader has to know of them.
    """

    settings: ComparisonSettings
    runs: Mapping[str | None, tuple[Run, ...]]
    differences: tuple[RunDifference, ...]
    notes: tuple[str, ...]


def compare_runs(runs: Mapping[str | None, Sequence[Run]], settings: ComparisonSettings) -> RunComparison:
    """Compare the runs of each data set by pairs.

    Args:
        runs: The runs by data set.
        settings: How to compare them.

    Raises:
        UserError: If runs do not go together, or nothing can be compared.
    """
    check_measures(settings.measures)
    found: list[RunDifference] = []
    notes: list[str] = []
    for dataset, of_set in runs.items():
        for first, second in _pairs(of_set, settings.against):
            differences, told = _compare(dataset, first, second, settings)
            found += differences
            notes += told
    if not found:
        seen = ", ".join(settings.measures)
        raise UserError("no question of these runs defines any of the measures", path="--measure", seen=seen)
    finished = corrected(found, settings.alpha)
    smallest = len(finished) / (1 + settings.resamples)
    if smallest > settings.alpha and any(one.is_drawn for one in finished):
        needed = int(len(finished) / settings.alpha) + 1
        notes.append(
            f"{settings.resamples} resamples are too few for {len(finished)} comparisons: no p-value drawn from them "
            f"can be below {smallest:.2g} once corrected; with --resamples {needed} it can"
        )
    leakage = [line for of_set in runs.values() for run in of_set for line in run.leakage]
    kept = {dataset: tuple(of_set) for dataset, of_set in runs.items()}
    return RunComparison(settings, kept, finished, tuple(dict.fromkeys([*notes, *leakage])))


def corrected(found: Sequence[RunDifference], alpha: float) -> tuple[RunDifference, ...]:
    """Return differences as one family: each with its corrected p-value and whether it holds at this level."""
    corrected_K = holm(np.array([one.cautious_p for one in found]))
    return tuple(_judged(one, float(p), alpha) for one, p in zip(found, corrected_K, strict=True))


def _pairs(runs: Sequence[Run], against: str | None) -> list[tuple[Run, Run]]:
    if len(runs) < 2:
        raise UserError("two runs at least are needed", path="RUNS", seen=", ".join(run.name for run in runs))
    if against is None:
        return list(combinations(runs, 2))
    controls = [run for run in runs if run.name == against]
    if not controls:
        allowed = ", ".join(run.name for run in runs)
        raise UserError("none of the runs is called so", path="--against", seen=against, allowed=allowed)
    return [(run, controls[0]) for run in runs if run is not controls[0]]


def _compare(
    dataset: str | None, first: Run, second: Run, settings: ComparisonSettings
) -> tuple[list[RunDifference], list[str]]:
    if len(first.fingerprints | second.fingerprints) > 1:
        raise UserError(
            f"{dataset or 'the data set'} held other text when one of these runs was measured",
            seen=f"{first.name} and {second.name}",
            remedy="evaluate both models again on the same files",
        )
    names = [*first.origins, *second.origins]
    paired = pair_scores(
        [*first.scores, *second.scores],
        names,
        settings.measures,
        per_language=settings.per_language,
        cells=settings.cells,
    )
    seeds = (len(first.scores), len(second.scores))
    sides = (paired.runs[: seeds[0]], paired.runs[seeds[0] :])
    test = _test(settings.test, seeds)
    tested = _Tested.of(sides, test, settings)
    means = [_mean(side).point_M for side in sides]
    differences = [
        RunDifference(
            dataset=dataset,
            first=first.name,
            second=second.name,
            measure=target.measure,
            place=target.place,
            first_mean=float(means[0][m]),
            second_mean=float(means[1][m]),
            difference=float(tested.difference_M[m]),
            low=_number(tested.low_M[m]),
            high=_number(tested.high_M[m]),
            effect=_number(tested.effect_M[m]),
            p=float(tested.p_M[m]),
            cautious_p=float(tested.cautious_p_M[m]),
            items=int(tested.items_M[m]),
            seeds=seeds,
            test=test,
            exact=tested.exact,
        )
        for m, target in enumerate(paired.targets)
    ]
    return differences, _notes(dataset, first, second, paired, settings)


def _test(wanted: TestName | None, seeds: tuple[int, int]) -> TestName:
    if wanted == "two-level" and max(seeds) < 2:
        remedy = "name several runs of a system, as STUDY/BASELINE or with commas between them"
        raise UserError("this test needs a system with several seeds", path="--test", seen=wanted, remedy=remedy)
    return wanted or ("two-level" if max(seeds) > 1 else "randomisation")


@dataclass(frozen=True)
class _Tested:
    """What the tests say of one pair of runs."""

    difference_M: Floats
    low_M: Floats
    high_M: Floats
    effect_M: Floats
    p_M: Floats
    cautious_p_M: Floats
    items_M: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    exact: bool

    @classmethod
    def of(
        cls, sides: tuple[Sequence[ClusteredMeans], Sequence[ClusteredMeans]], test: TestName, how: ComparisonSettings
    ) -> _Tested:
        first, second = (_mean(side) for side in sides)
        apart = ClusteredMeans(first.sums_IC - second.sums_IC, first.counts_IC, first.member_CM)
        drawn, alpha, exact = how.resamples, how.alpha, False
        seed = derive_seed("compare", test, how.seed)
        if test == "two-level":
            both = two_level_test(*sides, alpha=alpha)
            low_M, high_M, p_M, cautious_p_M = both.low_M, both.high_M, both.p_M, both.cautious_p_M
        else:
            interval_seed = derive_seed("compare", "bootstrap", how.seed)
            found = paired_bootstrap(apart, resamples=drawn, seed=interval_seed, alpha=alpha, interval=how.interval)
            low_M, high_M, p_M = found.low_M, found.high_M, found.p_M
            if test == "randomisation":
                exchanged = randomisation_test(apart, resamples=drawn, seed=seed)
                p_M, exact = exchanged.p_M, exchanged.exact
            cautious_p_M = p_M
        return cls(apart.point_M, low_M, high_M, _effect(apart), p_M, cautious_p_M, apart.items_M, exact)


def _mean(runs: Sequence[ClusteredMeans]) -> ClusteredMeans:
    return replace(runs[0], sums_IC=np.mean([run.sums_IC for run in runs], axis=0))


def _effect(apart: ClusteredMeans) -> Floats:
    items_M, influences_IM = apart.items_M, apart.influences()
    # an item's influence on a mean of I is 1/I of its distance: I times the sum of squares is the variance
    deviation_M = np.sqrt(np.square(influences_IM).sum(axis=0) * items_M / np.maximum(items_M - 1, 1) * items_M)
    flat_M = deviation_M <= 1e-12 * np.abs(apart.contributions()).sum(axis=0)
    return np.where(flat_M, np.nan, apart.point_M / np.where(flat_M, 1.0, deviation_M))


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


def _judged(one: RunDifference, p_holm: float, alpha: float) -> RunDifference:
    holds, direction = p_holm <= alpha, objective_directions()[one.measure]
    better: Literal["first", "second"] | None = None
    if holds and direction is not None:
        better = "first" if (one.difference > 0) == (direction == "maximize") else "second"
    return replace(one, p_holm=p_holm, holds=holds, better=better)


def _notes(
    dataset: str | None, first: Run, second: Run, paired: PairedScores, settings: ComparisonSettings
) -> list[str]:
    pair = f"{first.name} and {second.name}" + (f" on {dataset}" if dataset else "")
    notes = []
    if set(paired.items) != {paired.common_items}:
        held = ", ".join(f"{number:,}" for number in paired.items)
        notes.append(f"{pair}: {held} parallel questions, compared on the {paired.common_items:,} in common")
    if paired.one_sided:
        shown = ", ".join(paired.one_sided[:6]) + (" …" if len(paired.one_sided) > 6 else "")
        notes.append(f"{pair}: left out, since not all runs have it: {shown}")
    if paired.undefined:
        notes.append(f"{pair}: {paired.undefined:,} scores left out, since not all runs have them")
    there = {target.measure for target in paired.targets}
    missing = [measure for measure in settings.measures if measure not in there]
    if missing:
        notes.append(f"{pair}: no question of all runs defines {', '.join(missing)}")
    notes += _perturbation_notes(pair, first, second)
    counts = sorted((len(first.scores), len(second.scores)))
    if counts[1] > 1 and counts[0] == 1:
        notes.append(f"{pair}: one has a single seed; it is given the seed noise of the other")
    elif counts[0] == 2 < counts[1]:
        notes.append(
            f"{pair}: two seeds against {counts[1]} call up to twice as many equal systems different as they should"
        )
    return notes


def _perturbation_notes(pair: str, *runs: Run) -> list[str]:
    if not any(one for run in runs for one in run.perturbations):
        return []
    done = [" and ".join(dict.fromkeys(one or "none known" for one in run.perturbations)) for run in runs]
    return [f"{pair}: measured under perturbations: {'; '.join(done)}"]
