"""A study whose stores are servers, all of them real: PostgreSQL, an MLflow server, an object store that speaks S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs
from tests.ledger_fixtures import trials_of
from tests.servers import serving
from tests.small_study import experiment
from tests.study_fixtures import VARIED, Watcher, content, figures

from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.tracking.store import TrackingStore, runs_by_trial

pytestmark = pytest.mark.postgresql


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
