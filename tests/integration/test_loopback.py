"""What the platform starts on this machine listens on loopback: the Ray of a study, the pages, the stores."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.postgresql_server import program
from tests.ray_head import free_ports
from tests.small_study import write_file

from hybridbatch.spec.folders import HomeFolder

pytestmark = [pytest.mark.timeout(900)]
COMMAND = "import sys; from hybridbatch import cli; sys.argv[0] = 'hybridbatch'; cli.main()"


def listening(pid: int) -> set[tuple[int, str, str]]:
    """Return process, program and address of all sockets at which a process, or one that it started, listens."""
    found = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                name = (process.cmdline() or [process.name()])[0].rsplit("/", 1)[-1]
                for one in process.net_connections(kind="inet"):
                    if one.status == psutil.CONN_LISTEN:
                        found.add((process.pid, name, one.laddr.ip))
    return found


def beyond_loopback(found: set[tuple[int, str, str]]) -> set[tuple[int, str, str]]:
    return {
        (pid, name, ip) for pid, name, ip in found if not ipaddress.ip_address(ip.removeprefix("::ffff:")).is_loopback
    }


@contextlib.contextmanager
def started(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run hybridbatch without an address of a cluster anywhere around; end it with Ctrl-C."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with log.open("w", encoding="utf-8") as output:
        command = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            env={**environment, "COLUMNS": "200"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield command
    finally:
        command.send_signal(signal.SIGINT)
        try:
            command.wait(120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)


@pytest.mark.ray
def test_the_ray_that_a_study_starts_for_itself(home: HomeFolder, small_data: Path, tmp_path: Path) -> None:
    file, log = write_file(tmp_path, {"search.trials": 1}), tmp_path / "run.log"
    seen: set[tuple[int, str, str]] = set()
    with started(log, "run", str(file), "--home", str(home.path), "--data", str(small_data)) as command:
        while command.poll() is None:
            seen |= listening(command.pid)
            time.sleep(0.2)
        assert command.returncode == 0, log.read_text(encoding="utf-8")
    assert {"gcs_server", "raylet"} <= {name for _, name, _ in seen}, seen
    # PyTorch's own store, at which the workers of a trial meet, knows no other way: docs/security.md says so. A worker
    # is called by what it does just now.
    workers = {pid for pid, name, _ in seen if name.startswith(("ray::RayTrainWorker", "ray::execute."))}
    assert {one for one in beyond_loopback(seen) if one[0] not in workers} == set(), seen


def wait_for(text: str, log: Path, command: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 600
    while text not in log.read_text(encoding="utf-8"):
        assert command.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < end, log.read_text(encoding="utf-8")
        time.sleep(0.3)


def test_the_pages(finished: HomeFolder, tmp_path: Path) -> None:
    mlflow, optuna = map(str, free_ports(2))
    log = tmp_path / "ui.log"
    options = ("--home", str(finished.path), "--mlflow-port", mlflow, "--optuna-port", optuna)
    with started(log, "ui", *options) as command:
        wait_for("Ctrl-C ends both", log, command)
        seen = listening(command.pid)
    assert len(seen) >= 1
    assert beyond_loopback(seen) == set()


@pytest.mark.postgresql
def test_the_stores_and_no_password_is_on_a_command_line(tmp_path: Path) -> None:
    if program("initdb") is None:
        pytest.skip("PostgreSQL is not installed")
    import tempfile

    with tempfile.TemporaryDirectory(prefix="stores-") as made:
        Path(made).chmod(0o755)  # PostgreSQL's user enters it
        folder, log = Path(made) / "stores", tmp_path / "stores.log"
        postgresql, mlflow = map(str, free_ports(2))
        options = ("--folder", str(folder), "--postgresql-port", postgresql, "--mlflow-port", mlflow)
        with started(log, "stores", *options) as command:
            lines: list[str] = []
            while "Ctrl-C stops both" not in log.read_text(encoding="utf-8"):
                assert command.poll() is None, log.read_text(encoding="utf-8")
                lines += command_lines(command.pid)
                time.sleep(0.1)
            lines += command_lines(command.pid)
            password = (folder / "password").read_text(encoding="utf-8").strip()
            seen = listening(command.pid)
        assert {name for _, name, _ in seen} >= {"postgres"}
        assert beyond_loopback(seen) == set()
        assert any("mlflow" in line for line in lines)
        assert [line for line in lines if password in line] == []
        logs = "".join(file.read_text(encoding="utf-8") for file in (folder / "logs").iterdir())
        assert password not in logs


def command_lines(pid: int) -> list[str]:
    """Return what `ps` shows everybody of a process and of those that it started."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                found.append(" ".join(process.cmdline()))
    return found
