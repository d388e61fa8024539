"""Contenders: who of a search runs again with further seeds, decided once and kept in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import optuna

from hybridbatch.foundation.errors import UserError
from hybridbatch.search.assignment import Begun
from hybridbatch.search.earlier_study import experiments_of
from hybridbatch.search.identity import PLANNED
from hybridbatch.search.outcomes import best_first
from hybridbatch.search.planned import REPLICATE
from hybridbatch.spec import overrides
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.replicates import SEED

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

REPLICATES = "replicates"  # name of the user attribute of the study that holds the decision


class Contenders(NamedTuple):
    """Who runs again.

    Attributes:
        first: Number of the first replicate; all numbers from there on are replicates, seed by seed.
        contenders: Numbers of the trials that run again, the best first.
        seeds: With which seeds.
        asked: How many contenders were asked for.
        planned: How many trials of the search were planned, baselines included.
    """

    first: int
    contenders: tuple[int, ...]
    seeds: tuple[int, ...]
    asked: int
    planned: int

    @property
    def trials(self) -> int:
        """How many replicates there are."""
        return len(self.contenders) * len(self.seeds)

    def mark(self, number: int) -> dict[str, int] | None:
        """Return whose replicate a trial is, and with which seed; None when it is none."""
        if not self.first <= number < self.first + self.trials:
            return None
        seed, contender = divmod(number - self.first, len(self.contenders))
        return {"of": self.contenders[contender], "seed": self.seeds[seed]}


def contenders_of(study: optuna.Study) -> Contenders | None:
    """Return who of a study runs again, None before it is decided."""
    held = study.user_attrs.get(REPLICATES)
    if held is None:
        return None
    return Contenders(held["first"], tuple(held["contenders"]), tuple(held["seeds"]), held["asked"], held["planned"])


def decide_contenders(
    study: optuna.Study,
    experiment: Experiment,
    trials: Sequence[FrozenTrial],
    searched: range,
    known: Mapping[int, int],
) -> Contenders:
    """Decide who runs again, and keep it in the ledger; whoever calls this holds the lock of the study.

    Args:
        study: The study.
        experiment: Its experiment, which asks for replicates.
        trials: All trials, of which those of the search are over.
        searched: Numbers of the planned trials of the search.
        known: What folders say that replicates are of, by number: the ledger may have been lost.
    """
    asked = experiment.search.replicates
    if asked is None:
        raise ValueError("no replicates are asked for")
    ended = len(trials)
    best = [trial.number for trial in best_first(trials[searched.start :], study.directions)]
    of_folders = [known[number] for number in range(ended, ended + asked.contenders) if number in known]
    chosen = list(dict.fromkeys([*of_folders, *best]))[: asked.contenders]
    decided = Contenders(ended, tuple(chosen), asked.seeds, asked.contenders, searched.stop)
    study.set_user_attr(REPLICATES, decided._asdict() | {"at": datetime.now(UTC).isoformat(timespec="seconds")})
    return decided


def check_replicates(study: optuna.Study, experiment: Experiment, planned: int) -> None:
    """Refuse an experiment that would change who contends, or take numbers of replicates, once that is decided.

    Args:
        study: The study.
        experiment: The experiment that it is to have.
        planned: How many trials of the search that has, baselines included.

    Raises:
        UserError: If it would.
    """
    decided = contenders_of(study)
    if decided is None:
        return
    remedy = (
        "leave it as it was; for more trials make another study that begins with this one: "
        f"`search.warm_start: [{{study: {study.study_name}, points: {decided.asked}, learn: true}}]`"
    )
    asked = experiment.search.replicates
    if asked is None or (asked.contenders, asked.seeds) != (decided.asked, decided.seeds):
        raise UserError(
            "the contenders of this study are decided, and run with their seeds",
            path="search.replicates",
            seen=asked.model_dump(mode="json") if asked else None,
            allowed=f"contenders: {decided.asked}, seeds: {list(decided.seeds)}",
            remedy=remedy,
        )
    if planned != decided.planned:
        raise UserError(
            "the search is over, and its contenders run again: further trials would change who contends, and have the "
            "numbers of their replicates",
            path="search.trials",
            seen=f"{planned} trials with baselines",
            allowed=f"{decided.planned}",
            remedy=remedy,
        )


class ReplicatePlan:
    """The replicates of one study, as a driver hands them out under the lock.

    Args:
        experiment: The experiment.
        baselines: How many trials come before those of the search.
        planned: How many trials the search has, baselines included.
    """

    def __init__(self, experiment: Experiment, baselines: int, planned: int) -> None:
        self._experiment, self._searched = experiment, range(baselines, planned)
        self._decided: Contenders | None = None

    def decided(self, study: optuna.Study) -> Contenders | None:
        """Return who runs again, None before it is decided."""
        if self._decided is None and self._experiment.search.replicates is not None:
            self._decided = contenders_of(study)
        return self._decided

    def planned(self, decided: Contenders | None) -> int:
        """Return how many replicates there are or, before it is decided, will be at most."""
        asked = self._experiment.search.replicates
        if decided is not None:
            return decided.trials
        return 0 if asked is None else asked.trials

    def search_is_over(self, trials: Sequence[FrozenTrial]) -> bool:
        """Return whether every trial of the search that began is complete, pruned or failed."""
        return all(trial.state.is_finished() for trial in trials[self._searched.start :])

    def decide(
        self, study: optuna.Study, trials: Sequence[FrozenTrial], begun: Callable[[int], Begun]
    ) -> Contenders | None:
        """Return who runs again, deciding it now that nothing more of the search begins here.

        None while some of it runs, and where it was extended after this driver began: then others go on with it.
        """
        decided, asked = self.decided(study), self._experiment.search.replicates
        if decided is not None or asked is None:
            return decided
        if not self.search_is_over(trials) or study.user_attrs.get(PLANNED) != self._searched.stop:
            return None
        folders = {number: begun(number) for number in range(len(trials), len(trials) + asked.contenders)}
        known = {number: one.replicate_of for number, one in folders.items() if one.replicate_of is not None}
        self._decided = decide_contenders(study, self._experiment, trials, self._searched, known)
        return self._decided


def repeated(
    study: optuna.Study, experiment: Experiment, trial: FrozenTrial
) -> tuple[dict[str, Any], Experiment | UserError]:
    """Give a replicate the values of its contender; return them, and its experiment or what is wrong with it.

    Whoever calls this holds the lock of the study.

    Args:
        study: The study.
        experiment: Its experiment.
        trial: The replicate.
    """
    mark, storage = trial.user_attrs[REPLICATE], study._storage
    contender = storage.get_trial(storage.get_trial_id_from_study_id_trial_number(study._study_id, mark["of"]))
    for path, value in contender.params.items():
        distribution = contender.distributions[path]
        storage.set_trial_param(trial._trial_id, path, distribution.to_internal_repr(value), distribution)
    params = dict(contender.params)
    spaces = [one.search.space for one in (*experiments_of(study), experiment)]  # it may have been extended meanwhile
    space = {path: one for searched in spaces for path, one in searched.items()}
    try:
        values = overrides.with_complements(space, params)
        return params, overrides.apply(experiment, values | {SEED: mark["seed"]})
    except UserError as error:
        return params, error
