"""The values of a trial: what its baseline, a grid, an enqueued point or its folder says, and what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna

from hybridbatch.foundation.errors import UserError
from hybridbatch.search.distributions import contains, space_to_optuna
from hybridbatch.search.planned import PlannedTrials, resolve
from hybridbatch.spec.experiment import Experiment

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class Drawing:
    """Gives the trials of a study their values, and writes these into the ledger.

    Whoever calls this holds the lock of the study.

    Args:
        experiment: The experiment.
        plan: Its trials.
    """

    def __init__(self, experiment: Experiment, plan: PlannedTrials) -> None:
        self._experiment, self._plan = experiment, plan
        self._distributions = space_to_optuna(experiment.search.space)

    def resolved(self, number: int, params: dict[str, Any]) -> Experiment | UserError:
        """Return the experiment of a trial, or what is wrong with values that the search drew."""
        try:
            return resolve(self._experiment, self._plan, number, params)
        except UserError as error:
            if number < len(self._plan.baselines):
                raise
            return error  # the search may draw values that do not go together

    def params(self, study: optuna.Study, trial: FrozenTrial, begun: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a trial, drawing those that neither the ledger nor its folder knows.

        Args:
            study: The study.
            trial: The trial as the ledger holds it.
            begun: What its folder says.
        """
        number, trial_id, storage = trial.number, trial._trial_id, study._storage
        if number < len(self._plan.baselines):
            self._record_baseline(study, trial)
            return {}
        fixed = begun | self._plan.fixed(number)
        drawn, asked = dict(trial.params), optuna.Trial(study, trial_id)
        for path, distribution in self._distributions.items():
            if path in fixed:
                value = distribution.to_internal_repr(fixed[path])
                storage.set_trial_param(trial_id, path, value, distribution)
                drawn[path] = distribution.to_external_repr(value)
            else:
                drawn[path] = asked._suggest(path, distribution)
        return drawn

    def _record_baseline(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Let the sampler learn from a baseline where its values lie in the search space."""
        content = resolve(self._experiment, self._plan, trial.number, {}).model_dump(mode="json")
        for path, distribution in self._distributions.items():
            value: Any = content
            for part in path.split("."):
                value = value[int(part)] if isinstance(value, list) else (value or {}).get(part)
            if contains(distribution, value):
                internal = distribution.to_internal_repr(value)
                study._storage.set_trial_param(trial._trial_id, path, internal, distribution)
