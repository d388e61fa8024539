"""Trials in MLflow's model registry: one version for each, however often it is asked for.

The steps: run, uploaded model, registered name, version, alias. Each is looked for by a deterministic tag before it is
made, so that a registration that was cut off is completed by the next one, and the registry never holds a version whose
model is not whole. Everything goes through a client with an explicit address, as in the rest of this package. That is
why a version names the place of the files: to resolve ``models:/ID`` a store asks MLflow's global address.
"""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybridbatch.foundation.errors import HybridBatchError, StoreError, UserError, readable_disk_errors
from hybridbatch.tracking.mlflow_model import write_mlflow_model
from hybridbatch.tracking.projection import project_trial
from hybridbatch.tracking.quiet import one_line
from hybridbatch.tracking.records import RESULT_TAG, STUDY_TAG, TRIAL_TAG, record_of
from hybridbatch.tracking.store import StudyRuns
from hybridbatch.tracking.writer_lock import only_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

    from hybridbatch.spec.folders import StudyFolder, TrialFolder
    from hybridbatch.tracking.records import MetricPoint, RunRecord
    from hybridbatch.tracking.store import TrackingStore

_NAME = re.compile(r"[\w-][\w .-]{0,255}", re.ASCII)
_ALIAS = re.compile(r"(?!latest$|v\d+$)[\w-]{1,255}", re.ASCII | re.IGNORECASE)
_HEADLINE = re.compile(r"objective/[^/]+|report/[^/]+/(?!seconds$)[^/]+")  # without languages and cells
_IN_TAGS = re.compile(r"objective/.+|report/[^/]+/(map_mono|map_cross|map_multi|ndcg10_mono|rank_distance)")
_VERSIONS_TAG = "mlflow.modelVersions"  # by which MLflow's pages lead from a model to its versions
_MODEL_TAG = "hybridbatch.model"  # its id, which MLflow 3.17 does not keep with a version in a database
_TAG_LIMIT = 5000  # characters
_AGAIN = "look whether MLflow runs, then give the same command again: what is done already is not done twice"


@dataclass(frozen=True)
class RegisteredVersion:
    """A trial's model in the registry.

    Attributes:
        name: The registered model.
        version: Its version.
        alias: The alias that was asked for.
        trial: The trial, ``quickstart/7``.
        run_id: The trial's run.
        model_id: The model among the run's outputs.
        new: Whether the version was made now.
    """

    name: str
    version: str
    alias: str | None
    trial: str
    run_id: str
    model_id: str
    new: bool

    @property
    def uri(self) -> str:
        """The address by which MLflow loads it."""
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"


def register_trial(
    study: StudyFolder,
    folder: TrialFolder,
    store: TrackingStore,
    write_model: Callable[[Path], None],
    *,
    name: str,
    alias: str | None = None,
) -> RegisteredVersion:
    """Bring a finished trial's model into the registry of the study's MLflow store; doing so again changes nothing.

    Args:
        study: The trial's study.
        folder: The trial's folder.
        store: Where the study's runs are.
        write_model: Writes the model as a sentence-transformers folder into an empty folder.
        name: The registered model, made if there is none.
        alias: An alias that shall point at this version, wherever it pointed before.

    Raises:
        UserError: If MLflow does not take ``name`` or ``alias``.
        StoreError: If MLflow cannot be reached or refuses.
    """
    if not _NAME.fullmatch(name):
        raise UserError("MLflow takes no such name", path="--name", seen=name, allowed="letters, digits, space, . _ -")
    if alias is not None and not _ALIAS.fullmatch(alias):
        allowed = "letters, digits, _ -; not latest, v1, v2 …"
        raise UserError("MLflow takes no such alias", path="--alias", seen=alias, allowed=allowed)
    with _readable_errors(store), only_writer(study, "registry", _AGAIN):
        project_trial(study, folder, store)
        registration = _Registration(StudyRuns(store, study.name), record_of(folder, study.name), name)
        version, new = registration.version(write_model)
        if alias is not None:
            registration.runs.client.set_registered_model_alias(name, alias, version.version)
        run_id, model_id = registration.run.info.run_id, version.tags.get(_MODEL_TAG, "")
        trial = registration.record.trial
        return RegisteredVersion(name, str(version.version), alias, trial, run_id, model_id, new)


class _Registration:
    """The steps of one registration, each found again or made."""

    def __init__(self, runs: StudyRuns, record: RunRecord, name: str) -> None:
        self.runs, self.record, self.name = runs, record, name
        run = runs.of_trial(record.trial)
        if run is None:  # projected a moment ago
            raise StoreError("the trial's run was deleted", seen=record.trial, remedy=_AGAIN)
        self.run: Run = run

    def version(self, write_model: Callable[[Path], None]) -> tuple[ModelVersion, bool]:
        """Return the trial's version, and whether it was made now."""
        mine = f"name = '{self.name}' AND tags.`{RESULT_TAG}` = '{self.record.fingerprint}'"
        found = self.runs.client.search_model_versions(mine)
        version = found[0] if found else self._made_version(self._uploaded(write_model))
        self._lead_to(version)
        return version, not found

    def _made_version(self, model: LoggedModel) -> ModelVersion:
        self._make_registered_name()
        trial = self.record.trial
        return self.runs.client.create_model_version(
            self.name,
            model.artifact_location,
            run_id=self.run.info.run_id,
            model_id=model.model_id,
            tags=self._tags(model),
            description=f"Trial {trial} of hybridbatch; its README.md says how to use it and what it learnt from.",
        )

    def _uploaded(self, write_model: Callable[[Path], None]) -> LoggedModel:
        """Return the trial's model among the outputs of its run, uploaded whole."""
        client, run_id = self.runs.client, self.run.info.run_id
        model = next((one for one in self._models() if one.tags.get(RESULT_TAG) == self.record.fingerprint), None)
        if model is not None and model.status == "READY":
            return model
        if model is None:
            known = {STUDY_TAG: self.runs.study, TRIAL_TAG: self.record.trial, RESULT_TAG: self.record.fingerprint}
            model = client.create_logged_model(
                self.runs.experiment_id,
                self.record.trial.replace("/", "-"),
                source_run_id=run_id,
                tags=known,
                params=self.record.params,
                model_type="retriever",
            )
        with tempfile.TemporaryDirectory(prefix="hybridbatch-") as place:
            with readable_disk_errors(Path(place), "name a disk with more room as TMPDIR"):
                write_mlflow_model(Path(place) / "model", write_model, run_id, model.model_id)
            client.log_model_artifacts(model.model_id, str(Path(place) / "model"))
        self._measured(model)
        return client.finalize_logged_model(model.model_id, "READY")

    def _measured(self, model: LoggedModel) -> None:
        """Say which run has made the model, and bring the headline measures of the run to it."""
        from mlflow.entities import LoggedModelOutput, Metric

        client, run_id = self.runs.client, self.run.info.run_id
        outputs = self.run.outputs.model_outputs if self.run.outputs else []
        points = self._headlines()
        if model.model_id not in {one.model_id for one in outputs}:
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=points[0].step if points else 0)])
        client.log_batch(
            run_id,
            metrics=[
                Metric(at.key, at.value, at.timestamp, at.step, model_id=model.model_id, run_id=run_id) for at in points
            ],
        )

    def _models(self) -> Sequence[LoggedModel]:
        """Return the models that the run has made."""
        mine = f"source_run_id = '{self.run.info.run_id}'"
        found: Sequence[LoggedModel] = self.runs.client.search_logged_models(
            [self.runs.experiment_id], filter_string=mine
        )
        return found

    def _make_registered_name(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.runs.client.create_registered_model(self.name, tags={STUDY_TAG: self.runs.study})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _lead_to(self, version: ModelVersion) -> None:
        """Note the version with its model, as a server does by itself and a database does not."""
        model = next((one for one in self._models() if one.model_id == version.tags.get(_MODEL_TAG)), None)
        if model is None:  # deleted by hand
            return
        noted = json.loads(model.tags.get(_VERSIONS_TAG, "[]"))
        if not any((one["name"], str(one["version"])) == (version.name, str(version.version)) for one in noted):
            noted.append({"name": version.name, "version": version.version})
            self.runs.client.set_logged_model_tags(model.model_id, {_VERSIONS_TAG: json.dumps(noted)})

    def _headlines(self) -> list[MetricPoint]:
        return [at for at in self.record.metrics if _HEADLINE.fullmatch(at.key)]

    def _tags(self, model: LoggedModel) -> dict[str, str]:
        """Return what finds the version again, its main measures, and the parameters that the search chose."""
        tags: dict[str, str] = {
            STUDY_TAG: self.runs.study,
            TRIAL_TAG: self.record.trial,
            RESULT_TAG: self.record.fingerprint,
            _MODEL_TAG: model.model_id,
            **{at.key: str(at.value) for at in self._headlines() if _IN_TAGS.fullmatch(at.key)},
            **self.record.searched,
            **{name: self.record.tags[name] for name in ("baseline", "seed", "leakage") if name in self.record.tags},
        }
        return {name: value[:_TAG_LIMIT] for name, value in tags.items()}


@contextmanager
def _readable_errors(store: TrackingStore) -> Iterator[None]:
    """Turn whatever MLflow and its libraries raise into a :class:`StoreError`."""
    try:
        yield
    except HybridBatchError:
        raise
    except Exception as error:
        problem = "MLflow cannot be reached, or refuses"
        raise StoreError(problem, file=store.shown, seen=one_line(error), remedy=_AGAIN) from error
