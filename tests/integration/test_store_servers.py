"""``hybridbatch stores`` as a process: PostgreSQL and MLflow from one folder, ended by Ctrl-C, found again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from tests.command_line import CommandLine
from tests.ledger_fixtures import trials_of
from tests.postgresql_server import program
from tests.ray_head import free_ports
from tests.small_study import experiment
from tests.study_fixtures import Watcher

from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.tracking.store import TrackingStore, runs_by_trial

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(900)]
COMMAND = "import sys; from hybridbatch import cli; sys.argv[0] = 'hybridbatch'; cli.main()"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can enter: as root, PostgreSQL is run as one."""
    if program("initdb") is None:
        pytest.skip("PostgreSQL is not installed")
    made = Path(tempfile.mkdtemp(prefix="stores-"))
    made.chmod(0o755)
    yield made / "stores"
    shutil.rmtree(made)


@contextmanager
def serving(folder: Path, ports: list[int]) -> Iterator[dict[str, str]]:
    """Run the command; give the stores that it prints, and end it with Ctrl-C."""
    options = ["stores", "--folder", str(folder), "--postgresql-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert command.stdout is not None
        said = []
        for line in command.stdout:
            said.append(line)
            if "Ctrl-C stops both" in line:
                break
        assert command.poll() is None, "".join(said)
        shown = "".join(line for line in said if line.startswith(("stores:", "  ")))
        yield yaml.safe_load(shown)["stores"]
        servers = psutil.Process(command.pid).children(recursive=True)
        assert len(servers) >= 2
        os.kill(command.pid, signal.SIGINT)
        rest = command.stdout.read()
        assert command.wait(120) == 0, rest
        assert "started again, everything is there" in rest
        assert [one for one in servers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        command.send_signal(signal.SIGINT)
        try:
            command.wait(120)
        finally:
            command.kill()
            assert command.stdout is not None
            command.stdout.close()


def test_a_study_on_the_stores_is_found_again_when_they_are_started_again(
    folder: Path, home: HomeFolder, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")  # a busy machine
    ports = free_ports(2)
    with serving(folder, ports) as stores:
        password = (folder / "password").read_text(encoding="utf-8").strip()
        assert stores == {
            "ledger": f"postgresql+psycopg://hybridbatch:{password}@127.0.0.1:{ports[0]}/ledger",
            "tracking": f"http://127.0.0.1:{ports[1]}",
        }
        assert (folder / "password").stat().st_mode & 0o777 == 0o600
        session = StudySession(experiment({"search.trials": 1, "stores": stores}), home, small_data, None, Watcher())
        run_local(session)
        assert session.close().problems == ()
        before = [(one.number, one.state, one.params) for one in trials_of(stores["ledger"])]
        assert len(before) == 2
    with serving(folder, ports) as again:
        assert again == stores
        assert [(one.number, one.state, one.params) for one in trials_of(again["ledger"])] == before
        assert runs_by_trial(TrackingStore(again["tracking"]), "small") == {"small/0": 1, "small/1": 1}


def test_a_port_that_is_taken_is_named(folder: Path, command_line: CommandLine) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command_line("stores", "--folder", folder, "--mlflow-port", port, "--postgresql-port", *free_ports(1))
    done.is_message("--mlflow-port", "nothing can be served here", str(port))
    assert not folder.exists()


def test_a_folder_that_postgresql_cannot_enter_is_named(tmp_path: Path, command_line: CommandLine) -> None:
    if program("initdb") is None or os.geteuid() != 0:
        pytest.skip("only root runs PostgreSQL as somebody else")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    first, second = free_ports(2)
    ports = ("--postgresql-port", first, "--mlflow-port", second)
    done = command_line("stores", "--folder", closed / "stores", *ports)
    done.is_message(str(closed / "stores" / "postgresql"), "the database cannot be made", "in place of root")
