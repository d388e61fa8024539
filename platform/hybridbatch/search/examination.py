"""What interrupted work left behind in a study, and how it is mended: ledger, folders, MLflow runs, archive."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from optuna.trial import FrozenTrial, TrialState

from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import HybridBatchError, UserError
from hybridbatch.search.archive import Archive
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.ownership import LEASE, Owner, has_lapsed
from hybridbatch.search.session import last_step, open_ledger, tell_from_folder, tracking_store
from hybridbatch.search.telling import TOLD
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder, StudyFolder, TrialFolder
from hybridbatch.spec.trial import TrialResult
from hybridbatch.tracking.projection import project_study
from hybridbatch.tracking.quiet import one_line
from hybridbatch.tracking.store import TrackingStore
from hybridbatch.tracking.surplus_runs import compare_runs, delete_surplus

Kind = Literal[
    "lapsed-lease",
    "result-not-told",
    "result-missing",
    "result-differs",
    "record-damaged",
    "trial-unknown",
    "leftovers",
    "run-missing",
    "run-duplicated",
    "run-orphaned",
    "tracking-unreachable",
    "copy-missing",
]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: What it is, in a word.
        trial: The trial; None when it is about the whole study.
        found: What was found, in a sentence.
        mended: Whether it has been mended.
        remedy: How it is mended: what a repair does, or what only a person can do.
    """

    kind: Kind
    trial: int | None
    found: str
    mended: bool
    remedy: str


def examine_study(experiment: Experiment, home: HomeFolder, *, repair: bool) -> Iterator[Finding]:
    """Look at a study, and mend what can be mended without losing anything; yield what is found.

    Drivers may be at work meanwhile: what is in living hands is left alone. Nothing is looked for on a Ray cluster:
    what a driver had reserved there goes with it (docs/failures.md).

    Args:
        experiment: The study's experiment.
        home: The home folder.
        repair: Whether to mend.

    Raises:
        StoreError: If the ledger cannot be reached.
    """
    ledger = open_ledger(experiment, home)
    study = home.study(experiment.name)
    try:
        for trial in ledger.study.get_trials(deepcopy=False):
            yield from _trial(ledger, trial, study.trial(trial.number), repair)
        yield from _unknown_folders(ledger, study)
        held = ledger.running()  # their drivers write what is missing
    finally:
        ledger.close()
    yield from _runs(tracking_store(experiment, home), study, held, repair)
    if experiment.stores.archive:
        yield from _copies(Archive(experiment.stores.archive, study), held, repair)


def _trial(ledger: Ledger, trial: FrozenTrial, folder: TrialFolder, repair: bool) -> Iterator[Finding]:
    number, finished = trial.number, trial.state.is_finished()
    held = trial.state == TrialState.RUNNING and not has_lapsed(trial.user_attrs.get(LEASE))
    try:
        result = folder.read_result()
        if folder.has_spec():
            folder.read_spec()
    except UserError as error:
        yield Finding("record-damaged", number, f"{error.file}: {error.seen}", False, error.remedy or "")
        return
    if result is not None and not finished and not held:
        if repair:
            tell_from_folder(ledger, folder, result)
        yield Finding("result-not-told", number, f"{result.state} in its folder, open in the ledger", repair, "tell it")
    elif trial.state == TrialState.RUNNING and not held:
        entry = trial.user_attrs.get(LEASE) or {}
        owner = Owner.read(entry["owner"]).process if entry else None
        who = f"process {owner} holds it no more" if owner else "nobody holds it"
        mended = repair and ledger.give_back(number, last_step(folder))
        yield Finding("lapsed-lease", number, f"running in the ledger; {who}", mended, "give it back to be run")
    elif finished and result is None:
        told = f"{trial.state.name.lower()} in the ledger, no result in {folder.path}"
        yield Finding("result-missing", number, told, False, "bring the folder back from a copy or from stores.archive")
    elif result is not None and finished and (differs := _difference(trial, result)):
        yield Finding("result-differs", number, differs, False, "bring the folder back from a copy, or the ledger")
    if finished and result is not None:
        yield from _leftovers(ledger, folder, repair)


def _difference(trial: FrozenTrial, result: TrialResult) -> str | None:
    """Return what ledger and folder say of a finished trial, where it is not the same."""
    state, values = TOLD[result.state], result.values
    if values is not None and any(map(math.isnan, values)):  # told as failed: no sampler can learn from NaN
        state, values = TrialState.FAIL, None
    told = tuple(trial.values) if trial.values is not None and trial.state == TrialState.COMPLETE else None
    if (trial.state, told) == (state, values if state == TrialState.COMPLETE else None):
        return None
    return f"{trial.state.name.lower()} {told or ''} in the ledger, {result.state} {values or ''} in its folder"


def _leftovers(ledger: Ledger, folder: TrialFolder, repair: bool) -> Iterator[Finding]:
    found = (*atomic.drafts(folder.path), *folder.what_only_a_running_trial_needs())
    left = [path.name for path in found if path.exists()]
    if not left or ledger.running():  # a driver at work may be writing there
        return
    if repair:
        atomic.remove_drafts(folder.path)
        folder.remove_what_only_a_running_trial_needs()
    yield Finding("leftovers", folder.number, f"of killed processes: {', '.join(left)}", repair, "remove them")


def _unknown_folders(ledger: Ledger, study: StudyFolder) -> Iterator[Finding]:
    known = len(ledger.study.get_trials(deepcopy=False))
    for folder in study.trials():
        if folder.number < known:
            continue
        planned = folder.number < ledger.planned()
        remedy = (
            "`hybridbatch resume` takes it up under its number"
            if planned
            else "`hybridbatch extend` makes room for it; else remove the folder"
        )
        yield Finding("trial-unknown", folder.number, "a folder that the ledger knows nothing of", False, remedy)


def _runs(store: TrackingStore, study: StudyFolder, held: Collection[int], repair: bool) -> Iterator[Finding]:
    try:
        found = compare_runs(study, store)
        deleted = {run.run_id for run in delete_surplus(study, store)} if repair and found.surplus else set()
    except Exception as error:  # any of a dozen libraries may fail here
        text = error.problem if isinstance(error, HybridBatchError) else one_line(error)
        remedy = "start the MLflow server, then look again"
        yield Finding("tracking-unreachable", None, f"{store.shown}: {text}", False, remedy)
        return
    for run in found.surplus:
        number = int(run.trial.rpartition("/")[2]) if run.trial else None
        kind: Kind = "run-duplicated" if run.why == "duplicated" else "run-orphaned"
        what = "one of several runs" if run.why == "duplicated" else "the run of a trial without a result"
        remedy = f"delete it; `mlflow runs restore --run-id {run.run_id}` brings it back"
        yield Finding(kind, number, f"MLflow run {run.run_id}: {what}", run.run_id in deleted, remedy)
    if missing := [number for number in found.missing if number not in held]:
        problems = project_study(study, store).problems if repair else ()
        for number in missing:
            text = "finished, and no whole run in MLflow" + "".join(f"; {problem}" for problem in problems)
            yield Finding("run-missing", number, text, repair and not problems, "write it")


def _copies(archive: Archive, held: Collection[int], repair: bool) -> Iterator[Finding]:
    missing = [folder for folder in archive.missing() if folder.number not in held]
    problems = archive.add_missing() if repair and missing else ()
    for folder in missing:
        text = "finished, and no whole copy in the archive" + "".join(f"; {problem}" for problem in problems)
        yield Finding("copy-missing", folder.number, text, repair and not problems, "copy it")
