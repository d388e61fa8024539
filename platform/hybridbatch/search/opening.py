"""Opening a study in its ledger: what is decided there before its first trial, and what an extension changes."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import optuna

from hybridbatch.search.identity import EXPERIMENT, EXTENSIONS, PLANNED, check_identity, content, identity
from hybridbatch.search.planned import planned_trials
from hybridbatch.search.replicates import check_replicates
from hybridbatch.search.seeded_sampler import sampler_of
from hybridbatch.search.storage import close_storage, is_there, open_storage, readable_store_errors
from hybridbatch.search.warm_start import WARM_START, take
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.taken import NOTHING, Taken

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def open_study(experiment: Experiment, planned: int, storage: BaseStorage, kept: Taken) -> tuple[optuna.Study, Taken]:
    """Return the study of an experiment, made on first use, and what it took from earlier ones.

    Whoever calls this holds the lock of the study.

    Args:
        experiment: The experiment.
        planned: How many trials its search has, baselines included.
        storage: The ledger.
        kept: What the study's folder says that it took: the ledger may have been lost.

    Raises:
        UserError: If there is a study of this name with another experiment, or nothing to take. Then no study is made,
            so that the file can be mended under the same name.
    """
    taken = _taken(experiment, storage, kept)
    search = experiment.search
    study = optuna.create_study(
        study_name=experiment.name,
        storage=storage,
        sampler=sampler_of(search, taken.learnt()),
        pruner=optuna.pruners.NopPruner(),
        directions=[objective.direction for objective in search.objectives],
        load_if_exists=True,
    )
    check_identity(study, experiment)
    check_replicates(study, experiment, planned)
    if taken.studies and WARM_START not in study.user_attrs:
        study.set_user_attr(WARM_START, json.loads(taken.model_dump_json()))
    if study.metric_names is None:  # for optuna-dashboard, which else calls them "Objective 0"
        with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
            study.set_metric_names([objective.metric for objective in search.objectives])
    if study.user_attrs.get(PLANNED) != planned:
        study.set_user_attr(PLANNED, planned)
    return study, taken


def would_take(experiment: Experiment, url: str, kept: Taken) -> Taken:
    """Return what a study takes from earlier ones, or took when it was opened, without making or changing anything.

    Args:
        experiment: The experiment.
        url: URL of its ledger.
        kept: What the study's folder says that it took.

    Raises:
        StoreError: If the ledger cannot be reached.
        UserError: If a study is not there, or has nothing to take.
    """
    if not experiment.search.warm_start:
        return NOTHING
    if _holds(kept, experiment):
        return kept
    if not is_there(url):
        return take(experiment, optuna.storages.InMemoryStorage())  # says that there is no study yet
    with readable_store_errors(url):
        storage = open_storage(url)
        try:
            return _taken(experiment, storage, kept)
        finally:
            close_storage(storage)


def _taken(experiment: Experiment, storage: BaseStorage, kept: Taken) -> Taken:
    if not experiment.search.warm_start:
        return NOTHING
    try:
        study = optuna.load_study(study_name=experiment.name, storage=storage)
    except KeyError:
        study = None
    if study is not None and EXPERIMENT in study.user_attrs:
        check_identity(study, experiment)
        if (held := study.user_attrs.get(WARM_START)) is not None:
            return Taken.model_validate_json(json.dumps(held))
    return kept if _holds(kept, experiment) else take(experiment, storage)


def _holds(kept: Taken, experiment: Experiment) -> bool:
    """Return whether what a folder holds was taken for this experiment."""
    return bool(kept.studies) and kept.asked == experiment.search.warm_start


def extension_entry(extended: Experiment) -> dict[str, Any]:
    """Return what the ledger keeps of an extension."""
    at = datetime.now(UTC).isoformat()
    return {"at": at, "identity": identity(extended), "experiment": content(extended)}


def write_extension(study: optuna.Study, extended: Experiment, entry: dict[str, Any]) -> None:
    """Let a study be that of ``extended`` from here on; whoever calls this holds the lock of the study."""
    before = study.user_attrs.get(EXTENSIONS, [])
    if entry not in before:
        study.set_user_attr(EXTENSIONS, [*before, entry])
    study.set_user_attr(PLANNED, planned_trials(extended).total)
    study.set_user_attr(EXPERIMENT, entry["identity"])  # last: from here on it holds
