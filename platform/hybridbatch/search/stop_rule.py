"""The end of a search from which little can still be gained."""

from __future__ import annotations

import logging
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.search.distributions import contains, space_to_optuna
from hybridbatch.search.identity import identity
from hybridbatch.search.outcomes import keeps_to_constraints
from hybridbatch.search.planned import is_replicate
from hybridbatch.search.seeded_sampler import SEED_BITS
from hybridbatch.spec.experiment import Experiment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.trial import FrozenTrial

STOPPED = "stopped"  # name of the user attribute of the study that holds the decision
_log = logging.getLogger(__name__)


class StopRule:
    """Decides once that a search is over, by Optuna's bound on what can still be gained.

    The bound (arXiv 2104.08166) is the distance between the highest upper confidence limit of a Gaussian process
    anywhere in the space and the highest lower one among the trials. Optuna has it in ``optuna.terminator``, which
    goes with version 6; this project takes version 5. Its ``Terminator`` would count trials outside the space.

    The decision follows from the trials in the ledger and is kept there, so that all drivers, now and later, know it.
    Whoever calls this holds the lock of the study.

    Args:
        experiment: The experiment.
        baselines: Trials that come before those of the search.
    """

    def __init__(self, experiment: Experiment, baselines: int) -> None:
        self._stop, self._baselines = experiment.search.stop, baselines
        self._seed, self._identity = experiment.search.seed, identity(experiment)
        space = space_to_optuna(experiment.search.space)
        self._space = {path: distribution for path, distribution in space.items() if not distribution.single()}
        self._looked_at = 0  # trials: nothing new follows from the same ones

    def decision(self, study: optuna.Study) -> dict[str, Any] | None:
        """Return the decision that was made for this space under these settings, None when there is none.

        Keys: ``bound`` and ``improvement`` (in units of the objective), ``trials`` (those it followed from), ``at``.
        """
        made = study.user_attrs.get(STOPPED) if self._stop else None
        return made["decision"] if made and made["for"] == self._settings() else None

    def is_over(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> bool:
        """Return whether no further trial is to begin; decide it when there is something new to decide on."""
        if self._stop is None or not self._space or len(trials) < self._baselines:
            return False
        if self.decision(study) is not None:
            return True
        known = self._of_the_search(trials)
        if len(known) < self._stop.minimum_trials or len(known) == self._looked_at:
            return False
        bound = self._bound(known, study.direction)
        _log.info("after %d trials at most %.3g can still be gained", len(known), bound)
        if bound >= self._stop.improvement:
            self._looked_at = len(known)
            return False
        at = datetime.now(UTC).isoformat(timespec="seconds")
        made = {"bound": bound, "improvement": self._stop.improvement, "trials": len(known), "at": at}
        study.set_user_attr(STOPPED, {"for": self._settings(), "decision": made})
        return True

    def _settings(self) -> dict[str, Any]:
        return {"experiment": self._identity, **(self._stop.model_dump() if self._stop else {})}

    def _of_the_search(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the complete trials that keep to all constraints and lie in the space, as trials of that space."""
        known = []
        for trial in trials[self._baselines :]:
            if trial.state != TrialState.COMPLETE or not keeps_to_constraints(trial) or is_replicate(trial):
                continue
            params = {path: trial.params[path] for path in self._space if path in trial.params}
            if len(params) == len(self._space) and all(contains(self._space[path], params[path]) for path in params):
                known.append(optuna.trial.create_trial(params=params, distributions=self._space, value=trial.value))
        return known

    def _bound(self, known: list[FrozenTrial], direction: optuna.study.StudyDirection) -> float:
        """Return by how much any trial may exceed the best so far, in units of the objective."""
        from optuna.terminator import RegretBoundEvaluator  # few studies need it

        seed = derive_seed(self._seed, "stop", len(known)) % (1 << SEED_BITS)
        with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
            evaluator = RegretBoundEvaluator(seed=seed)
        return float(evaluator.evaluate(known, direction))
