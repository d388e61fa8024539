"""Rungs in the ledger: their values, and the verdicts on them, given once and kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from hybridbatch.search.planned import PlannedTrials, resolve
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.trial import Rung

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

RUNGS, VERDICTS = "rungs", "verdicts"  # names of user attributes of an Optuna trial


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

        The pruner looks at the first objective. Baselines always go on: they are there to be compared in full.
        """
        verdicts = dict(trial.user_attrs.get(VERDICTS, {}))
        if str(rung.step) in verdicts:
            return bool(verdicts[str(rung.step)])
        value = self.record(trial, (rung,))[str(rung.step)]
        goes_on = trial.number < len(self._plan.baselines) or self._goes_on(trial, rung.step, value)
        verdicts[str(rung.step)] = goes_on
        self._storage.set_trial_user_attr(trial._trial_id, VERDICTS, verdicts)
        return goes_on

    def record(self, trial: FrozenTrial, rungs: Iterable[Rung]) -> dict[str, float]:
        """Record the first objective at ``rungs``; return it for all rungs of the trial, by step."""
        first = self._objectives[0].metric
        known: dict[str, float] = trial.user_attrs.get(RUNGS, {})
        new = {rung.step: rung.summary.get(first, math.nan) for rung in rungs if str(rung.step) not in known}
        values = known | {str(step): value for step, value in new.items()}
        if len(self._objectives) == 1:  # Optuna's samplers know them for one objective only
            for step, value in new.items():
                self._storage.set_trial_intermediate_value(trial._trial_id, step, value)
        if new:  # last: whoever was cut off before this does all of it again
            self._storage.set_trial_user_attr(trial._trial_id, RUNGS, values)
        return values

    def _goes_on(self, trial: FrozenTrial, step: int, value: float) -> bool:
        pruner = cast(Any, self._experiment.search.pruner)
        training = resolve(self._experiment, self._plan, trial.number, trial.params).training  # which may be searched
        if pruner is None or step >= training.steps or not pruner.is_rung(step, training.evaluate_every):
            return True
        sign = 1 if self._objectives[0].direction == "maximize" else -1
        others = [
            sign * other.user_attrs.get(RUNGS, {}).get(str(step), math.nan)
            for other in self._trials()
            if other.number != trial.number
        ]
        return bool(pruner.goes_on(sign * value, [one for one in others if not math.isnan(one)]))
