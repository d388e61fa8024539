"""`hybridbatch register` on an MLflow server, and what others load from there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.command_line import CommandLine

from hybridbatch.spec.folders import HomeFolder
from hybridbatch.tracking.store import TrackingStore

KEYS = {"name", "version", "alias", "trial", "run_id", "model_id", "new", "uri", "tracking"}
QUESTIONS = ["where is the place of thing7", "wo ist der ort von thing7 " * 20]


@pytest.fixture
def on_server(finished: HomeFolder, mlflow_server: str, tmp_path: Path) -> HomeFolder:
    """A finished study whose runs belong on a server that knows nothing of them yet."""
    home = HomeFolder(shutil.copytree(finished.path, tmp_path / "home"))
    file = home.study("small").experiment
    experiment = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(experiment | {"stores": {"tracking": mlflow_server}}), encoding="utf-8")
    return home


def test_a_registered_trial_is_loaded_from_the_server(
    command_line: CommandLine,
    on_server: HomeFolder,
    mlflow_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register = ["register", "small/best", "--name", "retriever", "--alias", "champion", "--home", on_server.path]
    said = command_line(*register)
    assert said.code == 0, said.err
    *_, first, second = said.out.splitlines()  # MLflow holds on to the standard output of tests
    assert first == "small/0 is now version 1 of retriever, champion"
    assert second == (
        f"load it with MLFLOW_TRACKING_URI={mlflow_server}: "
        "mlflow.sentence_transformers.load_model('models:/retriever@champion')"
    )
    again = command_line(*register, "--json").json
    assert set(again) == KEYS
    assert (again["trial"], again["version"], again["new"]) == ("small/0", "1", False)
    client = TrackingStore(mlflow_server).connect()
    (version,) = client.search_model_versions("name = 'retriever'")
    assert (version.run_id, version.status) == (again["run_id"], "READY")
    assert client.get_run(version.run_id).data.tags["hybridbatch.trial"] == "small/0"
    assert client.get_logged_model(again["model_id"]).tags["mlflow.modelVersions"].count("retriever") == 1

    import mlflow
    from sentence_transformers import SentenceTransformer

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    assert command_line("export", "small/0", tmp_path / "out", "--home", on_server.path).code == 0
    expected_RD = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode_query(QUESTIONS)
    loaded = mlflow.sentence_transformers.load_model("models:/retriever@champion")
    assert np.abs(loaded.encode_query(QUESTIONS) - expected_RD).max() < 1e-6
    there = Path(mlflow.artifacts.download_artifacts("models:/retriever/1", dst_path=str(tmp_path)))
    assert (there / "model.sentence_transformer" / "README.md").read_bytes() == (
        tmp_path / "out" / "README.md"
    ).read_bytes()
    as_function = mlflow.pyfunc.load_model("models:/retriever/1")
    answered_RD = as_function.predict(QUESTIONS, params={"prompt_name": "query", "task": "query"})
    assert np.abs(answered_RD - expected_RD).max() < 1e-6


def test_what_cannot_be_registered_is_said(command_line: CommandLine, finished: HomeFolder, tmp_path: Path) -> None:
    home = HomeFolder(shutil.copytree(finished.path, tmp_path / "home"))
    failed = next(one.number for one in home.study("small").results() if one.state == "failed")
    place = str(home.study("small").path)
    message = command_line("register", f"small/{failed}", "--home", home.path)
    message.is_message(place, "this trial has no model", f"small/{failed}, failed")
    message = command_line("register", tmp_path, "--home", home.path)
    message.is_message(None, "not the name of a trial", "STUDY/NUMBER or STUDY/best")
    message = command_line("register", "small/0", "--alias", "latest", "--home", home.path)
    message.is_message("--alias", "MLflow takes no such alias", "'latest'")
