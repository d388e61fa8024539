"""Which trial a number stands for: baselines first, then searched trials."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hybridbatch.foundation.errors import UserError
from hybridbatch.search.samplers.grid import GridSettings
from hybridbatch.spec import overrides
from hybridbatch.spec.experiment import Experiment, Search
from hybridbatch.spec.points import holds
from hybridbatch.spec.search_space import AnyDistribution

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

BASELINE = "baseline"  # name of the user attribute of an Optuna trial that says which baseline it replicates
REPLICATE = "replicate"  # likewise, of which contender (`of`), and with which `seed`
LARGEST_GRID = 100_000  # trials; the ledger is read as a whole before each


@dataclass(frozen=True)
class Baseline:
    """One replicate of a baseline: the named settings with one seed."""

    name: str
    seed: int
    values: dict[str, Any]


@dataclass(frozen=True)
class PlannedTrials:
    """The trials of a study by number: what follows from the experiment alone.

    Attributes:
        baselines: Trials 0 to B - 1, seed by seed.
        grid: Points of a grid search, trial B first; empty for other samplers.
        total: Trials in all.
        enqueued: Points that are tried first, trial B first; they may leave paths to the sampler.
        taken: Points of earlier studies, by number of the trial that tries them.
    """

    baselines: tuple[Baseline, ...]
    grid: tuple[dict[str, Any], ...]
    total: int
    enqueued: tuple[dict[str, Any], ...] = ()
    taken: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def fixed(self, number: int) -> dict[str, Any]:
        """Return what is known of the values of searched trial ``number`` before it is drawn."""
        index = number - len(self.baselines)
        points = self.grid or self.enqueued
        return points[index] if index < len(points) else dict(self.taken.get(number, {}))

    def with_taken(self, taken: Mapping[int, Mapping[str, Any]], space: Mapping[str, AnyDistribution]) -> PlannedTrials:
        """Return the same trials, some of which try points of earlier studies.

        Args:
            taken: The points by number of the trial.
            space: What is searched now; a point outside of it, after an extension, leaves its trial to the sampler.
        """
        inside = {
            number: point
            for number, point in taken.items()
            if number < self.total and all(path in space and holds(space[path], one) for path, one in point.items())
        }
        return replace(self, taken=inside)


def planned_trials(experiment: Experiment, trials: int | None = None) -> PlannedTrials:
    """Return the trials of a study.

    Args:
        experiment: The experiment.
        trials: Searched trials, in place of ``search.trials``.

    Raises:
        UserError: If the number of trials is missing or smaller than that of enqueued points, a grid has a range
            without a list of values, or is far too large.
    """
    search = experiment.search
    baselines = tuple(
        Baseline(name, seed, {"training.seed": seed, **values})
        for seed in search.baseline_seeds
        for name, values in search.baselines.items()
    )
    wanted = search.trials if trials is None else trials
    grid: tuple[dict[str, Any], ...] = ()
    if isinstance(search.sampler, GridSettings):
        grid = _grid(search.sampler, search.space, wanted)
        searched = len(grid)
    elif wanted is not None:
        searched = wanted
    elif search.space:
        raise UserError(
            "the number of trials is missing",
            path="search.trials",
            allowed="a whole number; only the grid sampler knows it by itself",
        )
    else:
        searched = 0 if baselines else 1
    if searched > 1 and not search.space:
        raise UserError(
            "several trials without anything to search would all be the same",
            path="search.space",
            seen=f"search.trials: {searched}",
            remedy="name a range under search.space, or several seeds: `training.seed: {choice: [0, 1]}`",
        )
    _check_points(search, searched, trials is not None)
    return PlannedTrials(baselines, grid, len(baselines) + searched, search.enqueue)


def _check_points(search: Search, searched: int, by_option: bool) -> None:
    points = len(search.enqueue) + sum(entry.points for entry in search.warm_start)
    if points > searched:
        key, verb = ("search.warm_start", "take") if search.warm_start else ("search.enqueue", "enqueue")
        raise UserError(
            "more points are enqueued than trials are planned, of which they are the first",
            path="--trials" if by_option else key,
            seen=f"{points} points, {searched} trials",
            remedy=f"plan more trials, or {verb} fewer points",
        )


def _grid(
    sampler: GridSettings, space: Mapping[str, AnyDistribution], wanted: int | None
) -> tuple[dict[str, Any], ...]:
    """Return the first ``wanted`` points of the grid, all of them when None."""
    try:
        size = sampler.size(space)
    except TypeError as error:
        raise UserError(str(error), path="search.sampler") from error
    searched = size if wanted is None else min(size, wanted)
    if searched > LARGEST_GRID:
        raise UserError(
            "the grid has more points than a study holds trials",
            path="search.space" if wanted is None else "search.trials",
            seen=f"{searched:,} points",
            allowed=f"at most {LARGEST_GRID:,}",
            remedy="list fewer values, say with search.trials how many of the first points to try, "
            "or take another sampler",
        )
    return tuple(itertools.islice(sampler.points(space), searched))


def is_baseline(trial: FrozenTrial) -> bool:
    """Return whether a trial of the ledger replicates a baseline."""
    return BASELINE in trial.user_attrs


def is_replicate(trial: FrozenTrial) -> bool:
    """Return whether a trial of the ledger runs a contender of the search again, with another seed."""
    return REPLICATE in trial.user_attrs


def resolve(experiment: Experiment, plan: PlannedTrials, number: int, params: dict[str, Any]) -> Experiment:
    """Return the experiment of trial ``number``, in which ``params`` were chosen by the search."""
    if number < len(plan.baselines):
        return overrides.apply(experiment, plan.baselines[number].values)
    return overrides.apply(experiment, overrides.with_complements(experiment.search.space, params))
