"""The outcome of a trial as the ledger keeps it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import TrialState

from hybridbatch.search import attempts
from hybridbatch.spec.attempts import Cause
from hybridbatch.spec.constraints import Constraint
from hybridbatch.spec.trial import TrialResult

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

REASON, MEASURES = "reason", "measures"  # names of user attributes of a trial
TOLD = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def tell(study: Study, trial: FrozenTrial, result: TrialResult, constraints: Sequence[Constraint]) -> None:
    """Write the outcome of a running trial into the ledger.

    Whoever calls this holds the lock of the study.

    Args:
        study: The study.
        trial: The trial as the ledger holds it.
        result: Its outcome.
        constraints: What trials have to keep to.
    """
    storage, trial_id = study._storage, trial._trial_id
    values, state, reason = result.values, TOLD[result.state], result.reason
    if any(math.isnan(value) for value in values or ()):  # no sampler can learn from it
        values, state, reason = None, TrialState.FAIL, "an objective has no value on the selection set"
    excess = {one.name: one.excess(result.selection) for one in constraints}
    if values is not None and any(map(math.isnan, excess.values())):
        values, state, reason = None, TrialState.FAIL, "a constraint has no value on the selection set"
    for name, value in excess.items() if values is not None else ():  # where Optuna's samplers look for it
        storage.set_trial_system_attr(trial_id, f"{_CONSTRAINTS_KEY}:{name}", value)
    if reason:
        storage.set_trial_user_attr(trial_id, REASON, reason)
    measures = {name: one.summary for name, one in result.report.items()}
    if measures:
        storage.set_trial_user_attr(trial_id, MEASURES, measures)
    # Before the state: a finished trial of Optuna stays as it is.
    cause: Cause = "error" if result.state == "failed" else "finished"
    ended = attempts.end(attempts.read(trial.user_attrs), cause, result.reason, result.steps, result.finished)
    storage.set_trial_user_attr(trial_id, attempts.ATTEMPTS, attempts.written(ended))
    study.tell(result.number, values, state)
