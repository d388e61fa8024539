"""Which trial of a study begins next, if any: of the search, then the replicates of its contenders."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import optuna

from hybridbatch.search.assignment import Begun
from hybridbatch.search.planned import REPLICATE, PlannedTrials
from hybridbatch.search.replicates import ReplicatePlan
from hybridbatch.search.spending import spent_by
from hybridbatch.search.stop_rule import StopRule
from hybridbatch.spec.experiment import Experiment

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class NextTrial:
    """Decides what begins next; whoever calls :meth:`marks` holds the lock of the study.

    Args:
        experiment: The experiment.
        plan: Its trials.

    Attributes:
        stop_rule: When the search ends early.
        replicates: Who runs again after it.
        later: Whether, when nothing began, something may once trials that are at work are over.
    """

    def __init__(self, experiment: Experiment, plan: PlannedTrials) -> None:
        self._experiment, self._plan = experiment, plan
        self.stop_rule = StopRule(experiment, len(plan.baselines))
        self.replicates = ReplicatePlan(experiment, len(plan.baselines), plan.total)
        self.later = False

    def marks(
        self, study: optuna.Study, trials: list[FrozenTrial], begun: Callable[[int], Begun]
    ) -> dict[str, Any] | None:
        """Return the attributes of the trial that begins now, None when none does.

        Args:
            study: The study.
            trials: All its trials, of which none waits for somebody to take it up.
            begun: Tells what the folder of a trial knows of it: the ledger may have been lost.
        """
        self.later = False
        known = begun(len(trials))
        has_begun = known.params is not None  # the ledger was lost
        if self._budget_is_spent(trials) and not has_begun:
            return None
        if self._search_goes_on(study, trials, known):
            return {}
        decided = self.replicates.decide(study, trials, begun)
        if decided is None:
            self.later = self._experiment.search.replicates is not None and not self.replicates.search_is_over(trials)
            return None
        mark = decided.mark(len(trials))
        return None if mark is None else {REPLICATE: mark}

    def _search_goes_on(self, study: optuna.Study, trials: list[FrozenTrial], known: Begun) -> bool:
        if len(trials) >= self._plan.total or self.replicates.decided(study) is not None:
            return False
        if known.params is not None:  # begun before the ledger was lost; as a replicate if the search had ended early
            return known.replicate_of is None
        return not self.stop_rule.is_over(study, trials)

    def _budget_is_spent(self, trials: list[FrozenTrial]) -> bool:
        budget = self._experiment.search.budget
        return budget is not None and budget.is_spent(spent_by(trials, self._experiment.resources))
