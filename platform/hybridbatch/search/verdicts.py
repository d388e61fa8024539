"""Rungs in the ledger: their values, and the verdicts on them, given once and kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from hybridbatch.search.outcomes import RUNGS, rung_of, rungs_of, written_rungs
from hybridbatch.search.pareto_order import positions
from hybridbatch.search.planned import PlannedTrials, is_replicate, resolve
from hybridbatch.spec.dotted_paths import overlap
from hybridbatch.spec.experiment import Experiment, Training
from hybridbatch.spec.trial import Rung

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

VERDICTS = "verdicts"  # name of a user attribute of an Optuna trial, as RUNGS is


class RungRecord:
    """What trials measured at their rungs, and which of them went on.

    A verdict is kept with the trial, so that one that reports the same rung again after a restart gets the same answer.
    Whoever calls this holds the lock of the study.

    Args:
        experiment: The experiment.
        plan: Its trials.
        storage: The storage of the ledger.
        trials: Returns all trials of the study as they stand.
    """

    def __init__(
        self,
        experiment: Experiment,
        plan: PlannedTrials,
        storage: BaseStorage,
        trials: Callable[[], list[FrozenTrial]],
    ) -> None:
        self._experiment, self._plan, self._storage, self._trials = experiment, plan, storage, trials
        self._objectives = experiment.search.objectives

    def decide(self, trial: FrozenTrial, rung: Rung) -> bool:
        """Record ``rung`` of ``trial``; return whether it goes on.

        With several objectives the pruner looks at places in the order of :mod:`hybridbatch.search.pareto_order`.
        Baselines and replicates always go on: they are there to be compared in full.
        """
        verdicts = dict(trial.user_attrs.get(VERDICTS, {}))
        if str(rung.step) in verdicts:
            return bool(verdicts[str(rung.step)])
        values = self.record(trial, (rung,))[rung.step]
        in_full = trial.number < len(self._plan.baselines) or is_replicate(trial)
        goes_on = in_full or self._goes_on(trial, rung.step, values)
        verdicts[str(rung.step)] = goes_on
        self._storage.set_trial_user_attr(trial._trial_id, VERDICTS, verdicts)
        return goes_on

    def record(self, trial: FrozenTrial, rungs: Iterable[Rung]) -> dict[int, list[float]]:
        """Record the objectives at ``rungs``; return them for all rungs of the trial, by step."""
        known = rungs_of(trial, len(self._objectives))
        new = {
            rung.step: [rung.summary.get(objective.metric, math.nan) for objective in self._objectives]
            for rung in rungs
            if rung.step not in known
        }
        values = known | new
        if len(self._objectives) == 1:  # Optuna's samplers know them for one objective only
            for step, measured in new.items():
                self._storage.set_trial_intermediate_value(trial._trial_id, step, measured[0])
        if new:  # last: whoever was cut off before this does all of it again
            self._storage.set_trial_user_attr(trial._trial_id, RUNGS, written_rungs(values))
        return values

    def _goes_on(self, trial: FrozenTrial, step: int, values: list[float]) -> bool:
        rule, compared = self._rule(trial.number)
        if rule is None:
            return True
        training = self._training(trial)
        if step >= training.steps or not rule.is_rung(step, training.evaluate_every):
            return True
        others = [
            rung_of(other, step, len(self._objectives))
            for other in self._trials()
            if other.number != trial.number and compared(other.number) and not is_replicate(other)
        ]
        mine, *theirs = self._scores([values, *(one for one in others if one is not None)])
        return bool(rule.goes_on(mine, [score for score in theirs if not math.isnan(score)]))

    def _training(self, trial: FrozenTrial) -> Training:
        """Return how a searched trial is trained."""
        space = self._experiment.search.space
        searched = [path for one in space for path in (one, space[one].complement) if path is not None]
        if not any(overlap(path, "training") for path in searched):  # as for all trials
            return self._experiment.training
        return resolve(self._experiment, self._plan, trial.number, trial.params).training

    def _rule(self, number: int) -> tuple[Any, Callable[[int], bool]]:
        """Return the rule for a trial, None without a pruner, and with which others it is compared."""
        search, baselines = self._experiment.search, len(self._plan.baselines)
        pruner = cast(Any, search.pruner)
        if not hasattr(pruner, "bracket"):  # one bracket for all
            return pruner, lambda other: True
        mine = pruner.bracket(search.seed, number)
        # Baselines run in full and raise the bar in every bracket.
        return pruner.within(mine), lambda other: other < baselines or pruner.bracket(search.seed, other) == mine

    def _scores(self, values: list[list[float]]) -> list[float]:
        """Return one figure for each trial, larger for the better: its only objective, or its place in the order.

        It is NaN where an objective has no value.
        """
        if len(self._objectives) == 1:
            sign = 1 if self._objectives[0].direction == "maximize" else -1
            return [sign * one[0] for one in values]
        places = positions(values, [objective.direction for objective in self._objectives])
        measured = [all(map(math.isfinite, one)) for one in values]
        return [-float(place) if known else math.nan for place, known in zip(places, measured, strict=True)]
