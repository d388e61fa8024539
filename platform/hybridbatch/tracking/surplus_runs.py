"""MLflow runs of a study that should not be there: a second one of a trial, or one of a trial without a result."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hybridbatch.tracking.records import PROJECTED_TAG, TRIAL_TAG, result_fingerprint, trial_tag
from hybridbatch.tracking.store import StudyRuns, TrackingStore
from hybridbatch.tracking.writer_lock import only_writer

if TYPE_CHECKING:
    from mlflow.entities import Run

    from hybridbatch.spec.folders import StudyFolder


@dataclass(frozen=True)
class SurplusRun:
    """A run that should not be there.

    Attributes:
        run_id: MLflow's id.
        trial: The tag of its trial, ``"study/7"``; None for the run of a study.
        why: ``duplicated`` or ``orphaned``.
    """

    run_id: str
    trial: str | None
    why: Literal["duplicated", "orphaned"]


@dataclass(frozen=True)
class RunsOfStudy:
    """How the runs of a study stand beside its folders.

    Attributes:
        surplus: Those that should not be there.
        missing: Numbers of finished trials that have no run, or none that is whole.
    """

    surplus: tuple[SurplusRun, ...]
    missing: tuple[int, ...]


def compare_runs(study: StudyFolder, store: TrackingStore) -> RunsOfStudy:
    """Compare the runs of a study with its folders.

    Raises:
        Exception: Whatever the store raises.
    """
    runs = StudyRuns(store, study.name)
    of_trial: dict[str, list[Run]] = defaultdict(list)
    for run in runs.children():  # before the folders: a result is there before its run
        of_trial[run.data.tags[TRIAL_TAG]].append(run)
    finished = {trial_tag(study.name, one.number): one for one in study.trials() if (one.path / "result.json").exists()}
    surplus, missing = [], []
    for trial, found in of_trial.items():
        if trial not in finished:
            surplus += [SurplusRun(run.info.run_id, trial, "orphaned") for run in found]
            continue
        now = result_fingerprint(finished[trial])
        whole = [run for run in found if run.data.tags.get(PROJECTED_TAG) == now]
        kept = min(whole or found, key=_age).info.run_id
        surplus += [SurplusRun(run.info.run_id, trial, "duplicated") for run in found if run.info.run_id != kept]
    for trial, folder in finished.items():
        prints = {run.data.tags.get(PROJECTED_TAG) for run in of_trial.get(trial, [])}
        if result_fingerprint(folder) not in prints:
            missing.append(folder.number)
    parents = sorted(runs.parents(), key=_age)
    surplus += [SurplusRun(run.info.run_id, None, "duplicated") for run in parents[1:]]
    return RunsOfStudy(tuple(surplus), tuple(sorted(missing)))


def delete_surplus(study: StudyFolder, store: TrackingStore) -> tuple[SurplusRun, ...]:
    """Delete the runs that should not be there; return them. MLflow can bring deleted runs back.

    Raises:
        Exception: Whatever the store raises.
    """
    with only_writer(study):  # a driver may be writing
        surplus = compare_runs(study, store).surplus
        client = store.connect()
        for run in surplus:
            client.delete_run(run.run_id)
    return surplus


def _age(run: Run) -> tuple[int, str]:
    return run.info.start_time, run.info.run_id
