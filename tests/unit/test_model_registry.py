"""Trials in a real MLflow model registry on SQLite: once each, whole, and completed after any interruption."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.trial_folders import TEMPERATURE, trial_result, write_study, write_trial

from hybridbatch.foundation.errors import StoreError, UserError
from hybridbatch.spec.folders import HomeFolder, StudyFolder
from hybridbatch.tracking.model_registry import RegisteredVersion, register_trial
from hybridbatch.tracking.store import TrackingStore

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow 3.17 with SQLAlchemy 2.1
STEPS = (
    "create_logged_model", "log_model_artifacts", "finalize_logged_model", "create_model_version",
    "set_logged_model_tags", "set_registered_model_alias",
)  # fmt: skip


@pytest.fixture
def store(home: HomeFolder) -> TrackingStore:
    return TrackingStore(home.tracking_url, home.artifacts)


@pytest.fixture
def study(home: HomeFolder) -> StudyFolder:
    results = [trial_result(number, alpha=0.2 * number, languages=("de", "en")) for number in (0, 1)]
    return write_study(home.study("quickstart").path, results)


class Writing:
    """Writes a model of one file and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> None:
        self.times += 1
        (folder / "README.md").write_text("a model", encoding="utf-8")


def register(study: StudyFolder, store: TrackingStore, number: int = 1, **options: Any) -> RegisteredVersion:
    written = options.pop("write", Writing())
    return register_trial(study, study.trial(number), store, written, **{"name": "retriever", **options})


def versions(store: TrackingStore, name: str = "retriever") -> list[Any]:
    return sorted(store.connect().search_model_versions(f"name = '{name}'"), key=lambda one: int(one.version))


def models(store: TrackingStore) -> list[Any]:
    client = store.connect()
    experiment = client.get_experiment_by_name("quickstart")
    return list(client.search_logged_models([experiment.experiment_id])) if experiment else []


def test_a_version_leads_to_its_run_and_says_how_good_it_is(study: StudyFolder, store: TrackingStore) -> None:
    done = register(study, store, alias="champion")
    assert (done.version, done.trial, done.new, done.uri) == ("1", "quickstart/1", True, "models:/retriever@champion")
    client = store.connect()
    version = client.get_model_version_by_alias("retriever", "champion")
    result = study.trial(1).read_result()
    assert result is not None
    assert (version.run_id, version.status) == (done.run_id, "READY")
    run = client.get_run(version.run_id)
    assert run.data.tags["hybridbatch.trial"] == version.tags["hybridbatch.trial"] == "quickstart/1"
    assert float(version.tags["objective/map_multi"]) == (result.values or ())[0]
    assert float(version.tags["report/xquad-r/map_cross"]) == result.report["xquad-r"].summary["map_cross"]
    assert version.tags[TEMPERATURE] == "0.05"
    assert version.tags["leakage"] == result.leakage[0]
    assert [one.model_id for one in run.outputs.model_outputs] == [done.model_id]
    model = client.get_logged_model(done.model_id)
    assert model.params[TEMPERATURE] == "0.05"
    assert {one.key: one.value for one in model.metrics}["objective/map_multi"] == (result.values or ())[0]
    assert model.tags["mlflow.modelVersions"] == '[{"name": "retriever", "version": 1}]'
    files = Path(version.source.removeprefix("file://"))
    assert (files / "model.sentence_transformer" / "README.md").read_text(encoding="utf-8") == "a model"
    assert "loader_module: mlflow.sentence_transformers" in (files / "MLmodel").read_text(encoding="utf-8")


def test_registering_again_changes_nothing(study: StudyFolder, store: TrackingStore) -> None:
    write = Writing()
    first = register(study, store, write=write)
    before = [vars(one) for one in versions(store)], [one.to_dictionary() for one in models(store)]
    again = register(study, store, write=write)
    assert (again.version, again.model_id, again.new) == (first.version, first.model_id, False)
    assert ([vars(one) for one in versions(store)], [one.to_dictionary() for one in models(store)]) == before
    assert write.times == 1
    other = register(study, store, write=write, name="another name")
    assert (other.version, other.model_id, other.new, write.times) == ("1", first.model_id, True, 1)


def test_an_alias_moves_and_a_new_result_is_a_new_version(study: StudyFolder, store: TrackingStore) -> None:
    client = store.connect()
    for number in (0, 1, 0):
        done = register(study, store, number, alias="champion")
        assert client.get_model_version_by_alias("retriever", "champion").tags["hybridbatch.trial"] == done.trial
    assert [one.tags["hybridbatch.trial"] for one in versions(store)] == ["quickstart/0", "quickstart/1"]
    (study.trial(1).path / "result.json").unlink()  # by hand, and the trial was run again
    write_trial(study, trial_result(1, alpha=0.7, languages=("de", "en")))
    done = register(study, store)
    assert (done.version, done.new) == ("3", True)


@pytest.mark.parametrize("step", STEPS)
def test_what_was_cut_off_is_completed(
    study: StudyFolder, store: TrackingStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    whole, left = getattr(MlflowClient, step), ["once"]

    def broken(client: MlflowClient, *arguments: Any, **options: Any) -> Any:
        if left:
            left.pop()
            raise ConnectionError("the cable")
        return whole(client, *arguments, **options)

    monkeypatch.setattr(MlflowClient, step, broken)
    with pytest.raises(StoreError, match="MLflow cannot be reached, or refuses") as caught:
        register(study, store, alias="champion")
    assert "ConnectionError: the cable" in str(caught.value)
    made = versions(store)
    assert len(made) == (step in STEPS[-2:]), "a version comes last"
    done = register(study, store, alias="champion")
    (version,), (model,) = versions(store), models(store)
    assert (done.version, done.model_id, done.new) == (str(version.version), model.model_id, not made)
    assert (model.status, model.tags["mlflow.modelVersions"]) == ("READY", '[{"name": "retriever", "version": 1}]')
    client = store.connect()
    assert client.get_model_version_by_alias("retriever", "champion").version == version.version
    assert len(client.get_run(done.run_id).outputs.model_outputs) == 1
    assert (Path(version.source.removeprefix("file://")) / "MLmodel").exists()


def test_a_model_that_cannot_be_written_is_not_registered(study: StudyFolder, store: TrackingStore) -> None:
    def refuse(folder: Path) -> None:
        raise UserError("this model cannot be said")

    with pytest.raises(UserError, match="this model cannot be said"):
        register(study, store, write=refuse)
    assert versions(store) == []
    with pytest.raises(MlflowException, match="not found"):
        store.connect().get_registered_model("retriever")
    assert register(study, store).new


def test_what_mlflow_would_refuse_is_refused_before_anything_is_written(study: StudyFolder) -> None:
    nowhere = TrackingStore("http://127.0.0.1:9")
    for name in ("a/b", "a:b", "", ".."):
        with pytest.raises(UserError, match="MLflow takes no such name"):
            register(study, nowhere, name=name)
    for alias in ("latest", "v12", "two words", ""):
        with pytest.raises(UserError, match="MLflow takes no such alias"):
            register(study, nowhere, alias=alias)


def test_a_server_that_is_down_is_said_without_password(study: StudyFolder) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        down = TrackingStore(f"http://me:hunter2@127.0.0.1:{held.getsockname()[1]}")  # bound, not listening: refused
        with pytest.raises(StoreError, match="MLflow cannot be reached, or refuses") as caught:
            register(study, down)
    assert "give the same command again" in str(caught.value)
    assert "hunter2" not in str(caught.value)
