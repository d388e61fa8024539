"""An MLflow store, spoken to through explicit run ids only: the fluent API keeps its state by thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hybridbatch.foundation.errors import StoreError
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.tracking.quiet import quiet_mlflow
from hybridbatch.tracking.records import STUDY_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

    from hybridbatch.tracking.records import MetricPoint, RunRecord

METRICS_A_BATCH, PARAMS_A_BATCH, TAGS_A_BATCH = 1000, 100, 100  # limits of MLflow's log_batch
_KIND_TAG = "hybridbatch.kind"  # "study" on the parent run
_PARENT_TAG = "mlflow.parentRunId"
_RUNS_A_PAGE = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class TrackingStore:
    """Where runs are written.

    Attributes:
        url: MLflow tracking URL: ``sqlite:///...``, ``postgresql://...`` or ``http://...``.
        artifacts: Folder (or URL) below which each study's artifacts go; None leaves the choice to the server.
    """

    url: str
    artifacts: Path | str | None = None

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without password."""
        return hide_passwords(self.url)

    def artifact_location(self, study: str) -> str | None:
        """Return where the artifacts of ``study`` go."""
        if self.artifacts is None:
            return None
        if isinstance(self.artifacts, Path):
            return (self.artifacts.absolute() / study).as_uri()
        return f"{self.artifacts.rstrip('/')}/{study}"

    def connect(self) -> MlflowClient:
        """Return a client; the first on a new database creates its tables (some seconds)."""
        quiet_mlflow()
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.url, registry_uri=self.url)


class StudyRuns:
    """The MLflow experiment of one study: its parent run and its trials' runs.

    Args:
        store: Where runs are written.
        study: Name of the study, which is also the name of the MLflow experiment.

    Raises:
        StoreError: If the MLflow experiment was deleted by hand.
    """

    def __init__(self, store: TrackingStore, study: str) -> None:
        self.client, self.study = store.connect(), study
        found = self.client.get_experiment_by_name(study)
        if found is not None and found.lifecycle_stage != "active":
            raise StoreError(
                "the MLflow experiment of this study was deleted",
                file=store.shown,
                seen=study,
                remedy=f"`mlflow experiments restore --experiment-id {found.experiment_id}` brings it back",
            )
        location = store.artifact_location(study)
        self.experiment_id: str = (
            found.experiment_id if found else self.client.create_experiment(study, artifact_location=location)
        )

    def search(self, condition: str) -> Iterator[Run]:
        """Yield the active runs of the study that meet an MLflow filter."""
        token: str | None = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], filter_string=condition, max_results=_RUNS_A_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def parent(self, started: int, question: str) -> Run:
        """Return the parent run, made if there is none."""
        for run in self.parents():
            return run
        tags = {STUDY_TAG: self.study, _KIND_TAG: "study", "mlflow.source.name": "hybridbatch"}
        if question:
            tags["mlflow.note.content"] = question
        return self.client.create_run(self.experiment_id, start_time=started, tags=tags, run_name=self.study)

    def parents(self) -> Iterator[Run]:
        """Yield the runs of the study itself: one, unless something went wrong."""
        return self.search(f"tags.`{STUDY_TAG}` = '{self.study}' AND tags.`{_KIND_TAG}` = 'study'")

    def of_trial(self, trial: str) -> Run | None:
        """Return the run of the trial with this tag, or None."""
        return next(self.search(f"tags.`{TRIAL_TAG}` = '{trial}'"), None)

    def children(self) -> list[Run]:
        """Return the runs of all trials."""
        return [run for run in self.search(f"tags.`{STUDY_TAG}` = '{self.study}'") if TRIAL_TAG in run.data.tags]

    def create_child(self, record: RunRecord, parent_id: str, tags: dict[str, str]) -> Run:
        """Make the empty run of a trial; its tags find it again should this process die the next moment."""
        known = {_PARENT_TAG: parent_id, STUDY_TAG: self.study, TRIAL_TAG: record.trial}
        tags = tags | known | {"mlflow.source.name": "hybridbatch"}
        return self.client.create_run(self.experiment_id, start_time=record.started, tags=tags, run_name=record.name)

    def write(self, run: Run, record: RunRecord) -> None:
        """Write what ``run`` still lacks of ``record``: nothing is written twice."""
        from mlflow.entities import Param, RunTag

        run_id = run.info.run_id
        missing = {key: value for key, value in record.params.items() if key not in run.data.params}
        for params in _batches([Param(key, value) for key, value in missing.items()], PARAMS_A_BATCH):
            self.client.log_batch(run_id, params=params)
        for metrics in _batches(self._missing(run, record.metrics), METRICS_A_BATCH):
            self.client.log_batch(run_id, metrics=metrics)
        for tags in _batches([RunTag(key, value) for key, value in record.tags.items()], TAGS_A_BATCH):
            self.client.log_batch(run_id, tags=tags)

    def _missing(self, run: Run, points: tuple[MetricPoint, ...]) -> list[Metric]:
        from mlflow.entities import Metric

        begun = {point.key for point in points} & set(run.data.metrics)
        there = {
            (key, at.step) for key in begun for at in self.client.get_metric_history(run.info.run_id, key)
        }  # only a run that was left half-written has any
        return [
            Metric(point.key, point.value, point.timestamp, point.step)
            for point in points
            if (point.key, point.step) not in there
        ]


def runs_by_trial(store: TrackingStore, study: str) -> dict[str, int]:
    """Return how many runs each trial of ``study`` has, by tag ``"study/7"``: each must have one."""
    counts: dict[str, int] = {}
    for run in StudyRuns(store, study).children():
        trial = run.data.tags[TRIAL_TAG]
        counts[trial] = counts.get(trial, 0) + 1
    return counts


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    kept = list(items)
    for first in range(0, len(kept), size):
        yield kept[first : first + size]
