"""A study whose stores are servers, all of them real: PostgreSQL, an MLflow server, an object store that speaks S3."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pyarrow import fs
from tests.ledger_fixtures import trials_of
from tests.small_study import experiment
from tests.study_fixtures import VARIED, Watcher, content, figures

from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.tracking.store import TrackingStore, runs_by_trial

pytestmark = pytest.mark.postgresql


@contextmanager
def serving(command: list[str], folder: Path, health: str) -> Iterator[str]:
    """Run a server, ``{port}`` in its command filled in; give its URL once ``health`` answers."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", folder / "server.log"
    folder.mkdir()
    filled = [sys.executable, "-m", *(part.replace("{port}", str(port)) for part in command)]
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(filled, stdout=output, stderr=output, cwd=folder, start_new_session=True)
    try:
        for _ in range(600):
            assert server.poll() is None, log.read_text(encoding="utf-8")
            try:
                urllib.request.urlopen(url + health, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        os.killpg(server.pid, 9)  # MLflow's has workers of its own
        server.wait()


@pytest.fixture
def mlflow_server(empty_home: Path, tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "mlflow"
    store = f"sqlite:///{empty_home / 'mlflow.db'}"
    command = ["mlflow", "server", "--port", "{port}", "--workers", "1", "--backend-store-uri", store]
    with serving([*command, "--artifacts-destination", folder.as_uri()], folder, "/health") as url:
        yield url


@pytest.fixture
def object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with serving(["moto.server", "-p", "{port}"], tmp_path / "s3", "/moto-api/data.json") as url:
        place = f"endpoint_override={url.removeprefix('http://')}&region=eu-west-1"
        yield f"s3://key:s3cret@runs/archive?scheme=http&{place}&allow_bucket_creation=true"


def test_a_study_on_servers_is_the_study_it_is_on_files(
    home: HomeFolder,
    finished: HomeFolder,
    small_data: Path,
    postgresql_url: str,
    mlflow_server: str,
    object_store: str,
) -> None:
    stores = {"ledger": postgresql_url, "tracking": mlflow_server, "archive": object_store}
    before = content(home.path, "*.db")
    session = StudySession(experiment({**VARIED, "stores": stores}), home, small_data, None, Watcher())
    run_local(session)
    assert session.close().problems == ()
    assert figures(session.folder) == figures(finished.study("small"))
    assert content(home.path, "*.db") == before, "the embedded stores were written to"

    mine, theirs = (
        [(one.number, one.state, one.params) for one in trials_of(url)] for url in (postgresql_url, finished.ledger_url)
    )
    assert mine == theirs
    assert runs_by_trial(TrackingStore(mlflow_server), "small") == {f"small/{number}": 1 for number in range(6)}
    kept, path = fs.FileSystem.from_uri(object_store)
    for trial in session.folder.trials():
        for name, (written, _) in content(trial.path).items():
            with kept.open_input_stream(f"{path}/small/{trial.path.name}/{name}") as stream:
                assert stream.read() == written
