"""What a study spent so far, from the attempts in its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hybridbatch.search import attempts
from hybridbatch.search.ownership import LEASE, has_lapsed, last_renewal
from hybridbatch.spec.budget import Spent
from hybridbatch.spec.costs import cost_of, hours_at_work, total
from hybridbatch.spec.resources import Resources

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def spent_by(trials: Iterable[FrozenTrial], resources: Resources) -> Spent:
    """Return what all attempts at ``trials`` used; one that lasts until now, one of a lost driver until it was alive.

    Args:
        trials: Trials of the ledger.
        resources: What a trial takes, for attempts of ledgers that did not say.
    """
    made = [(attempts.read(trial.user_attrs), _until(trial)) for trial in trials]
    workers, gpus = resources.most_workers, resources.gpus_per_worker
    whole = total(cost_of(of_trial, workers, until, gpus_per_worker=gpus) for of_trial, until in made)
    return Spent(hours_at_work(made), whole.worker_hours, whole.gpu_hours)


def _until(trial: FrozenTrial) -> datetime | None:
    entry = trial.user_attrs.get(LEASE)
    return last_renewal(entry) if has_lapsed(entry) else datetime.now(UTC)
