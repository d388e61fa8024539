"""Finished trial folders to MLflow runs: idempotent, and complete again after any interruption."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import HybridBatchError
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.tracking.heat_map import write_heat_map
from hybridbatch.tracking.quiet import one_line
from hybridbatch.tracking.records import (
    PROJECTED_TAG,
    RESULT_TAG,
    TRIAL_TAG,
    experiment_params,
    package_lock,
    record_of,
    result_fingerprint,
    trial_tag,
)
from hybridbatch.tracking.store import StudyRuns, TrackingStore
from hybridbatch.tracking.writer_lock import only_writer

if TYPE_CHECKING:
    from mlflow.entities import Run

    from hybridbatch.spec.folders import StudyFolder, TrialFolder
    from hybridbatch.spec.trial import TrialResult


@dataclass(frozen=True)
class ProjectionReport:
    """What a projection did.

    Attributes:
        n_new: Trials written now.
        n_already: Trials that were there already.
        problems: One line for each thing that went wrong, without passwords; empty when all is well.
    """

    n_new: int
    n_already: int
    problems: tuple[str, ...]


def project_study(study: StudyFolder, store: TrackingStore, *, upload_model: bool = False) -> ProjectionReport:
    """Project every finished trial that is not yet in the store, and close the parent run.

    Args:
        study: The study's folder.
        store: Where runs are written.
        upload_model: Whether the trained encoders are uploaded too.

    Returns:
        What was done; never raises for a store that cannot be reached or a folder that cannot be read.
    """
    finished = [folder for folder in study.trials() if (folder.path / "result.json").exists()]
    n_new, n_already, problems = 0, 0, []
    try:
        with only_writer(study):
            runs = StudyRuns(store, study.name)
            there = {run.data.tags[TRIAL_TAG]: run for run in runs.children()}
    except Exception as error:  # any of a dozen libraries may fail here, and none may stop a study
        return ProjectionReport(0, 0, (_told(error, store, f"{len(finished)} finished trials wait"),))
    for folder in finished:
        try:
            run = there.get(trial_tag(study.name, folder.number))
            if run is not None and _is_projected(run, folder):
                n_already += 1
                continue
            with only_writer(study):
                written = _project(runs, study, folder, upload_model)
            n_new, n_already = n_new + written, n_already + (not written)
        except Exception as error:
            problems.append(_told(error, store, f"trial {folder.number} waits"))
    try:
        with only_writer(study):
            _close_parent(runs, study)
    except Exception as error:
        problems.append(_told(error, store, "the study's own run is not closed"))
    return ProjectionReport(n_new, n_already, tuple(problems))


def project_trial(study: StudyFolder, folder: TrialFolder, store: TrackingStore, *, upload_model: bool = False) -> bool:
    """Project one finished trial and return whether anything was written.

    Raises:
        Exception: Whatever the store or the folder raises.
    """
    with only_writer(study):
        return _project(StudyRuns(store, study.name), study, folder, upload_model)


def _project(runs: StudyRuns, study: StudyFolder, folder: TrialFolder, upload_model: bool) -> bool:
    run = runs.of_trial(trial_tag(study.name, folder.number))
    if run is not None and _is_projected(run, folder):
        return False
    record = record_of(folder, study.name)
    if run is not None and run.data.tags.get(RESULT_TAG) != record.fingerprint:
        runs.client.delete_run(run.info.run_id)  # of an older result: parameters of a run can never be changed
        run = None
    if run is None:
        parent = runs.parent(record.started, _experiment(study).get("question", ""))
        run = runs.create_child(record, parent.info.run_id, {RESULT_TAG: record.fingerprint})
    runs.write(run, record)
    _write_artifacts(runs, run, folder, upload_model)
    runs.client.set_terminated(run.info.run_id, status=record.status, end_time=record.finished)
    runs.client.set_tag(run.info.run_id, PROJECTED_TAG, record.fingerprint)  # last: says that the run is whole
    return True


def _is_projected(run: Run, folder: TrialFolder) -> bool:
    return bool(run.data.tags.get(PROJECTED_TAG) == result_fingerprint(folder))


def _write_artifacts(runs: StudyRuns, run: Run, folder: TrialFolder, upload_model: bool) -> None:
    result = folder.read_result()
    if result is None:
        return
    with tempfile.TemporaryDirectory(prefix="hybridbatch-") as draft:
        _collect_artifacts(folder, result, Path(draft))
        runs.client.log_artifacts(run.info.run_id, draft)
    if upload_model and folder.model.exists():
        runs.client.log_artifacts(run.info.run_id, str(folder.model), "model")


def _collect_artifacts(folder: TrialFolder, result: TrialResult, draft: Path) -> None:
    for name in ("spec.json", "result.json", "curve.json"):
        if (folder.path / name).exists():
            text = (folder.path / name).read_text(encoding="utf-8")
            (draft / name).write_text(hide_passwords(text), encoding="utf-8")
    (draft / "packages.txt").write_text(package_lock(result.provenance), encoding="utf-8")
    for dataset, of_set in result.report.items():
        if folder.scores(dataset).exists():
            (draft / "scores").mkdir(exist_ok=True)
            shutil.copyfile(folder.scores(dataset), draft / "scores" / f"{dataset}.parquet")
        if of_set.cells:
            (draft / "heat_maps").mkdir(exist_ok=True)
            write_heat_map(of_set, draft / "heat_maps" / f"{dataset}.png", f"mAP on {dataset}, trial {result.number}")


def _close_parent(runs: StudyRuns, study: StudyFolder) -> None:
    """Write the study's settings to its run, once, and let the run end when its last trial did."""
    children = runs.children()
    experiment = _experiment(study)
    started = min((run.info.start_time for run in children), default=int(1000 * time.time()))
    parent = runs.parent(started, experiment.get("question", ""))
    ended = max((run.info.end_time or 0 for run in children), default=0) or parent.info.start_time
    if parent.info.status == "FINISHED" and parent.info.end_time == ended:
        return
    from mlflow.entities import Param

    missing = {key: value for key, value in experiment_params(experiment).items() if key not in parent.data.params}
    params = [Param(key, value) for key, value in missing.items()]
    for first in range(0, len(params), 100):
        runs.client.log_batch(parent.info.run_id, params=params[first : first + 100])
    if study.experiment.exists():
        text = hide_passwords(study.experiment.read_text(encoding="utf-8"))
        runs.client.log_text(parent.info.run_id, text, study.experiment.name)
    runs.client.set_terminated(parent.info.run_id, status="FINISHED", end_time=ended)


def _experiment(study: StudyFolder) -> dict[str, Any]:
    return dict(atomic.read_json(study.experiment)) if study.experiment.exists() else {}


def _told(error: Exception, store: TrackingStore, what: str) -> str:
    text = error.problem if isinstance(error, HybridBatchError) else one_line(error)
    return hide_passwords(f"{what}: MLflow at {store.shown}: {text}")
