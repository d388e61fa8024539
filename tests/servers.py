"""Servers that tests start and end: any program that answers on a port, and MLflow's own over an embedded store."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


_PATIENCE = 600.0  # seconds; MLflow's server takes minutes to start on a busy machine
# MLflow's processes for traces and scorers would have nothing to do here but to wake up, which takes half a core.
_WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class Server:
    """A server that is a Python module, started and killed as often as a test likes.

    Args:
        command: The module and its arguments, with ``{port}`` where its port is to stand.
        folder: A new folder to run in; its output goes to ``server.log`` there.
        health: Path that answers once the server is up.
    """

    def __init__(self, command: list[str], folder: Path, health: str) -> None:
        port = free_port()
        self.url, self._health, self._folder = f"http://127.0.0.1:{port}", health, folder
        self._command = [sys.executable, "-m", *(part.replace("{port}", str(port)) for part in command)]
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = self._folder / "server.log"
        with log.open("a", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, **_WITHOUT_JOBS},
                stdout=output,
                stderr=output,
                cwd=self._folder,
                start_new_session=True,
            )
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            assert self._process.poll() is None, log.read_text(encoding="utf-8")
            try:
                urllib.request.urlopen(self.url + self._health, timeout=5).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"the server does not answer: {log.read_text(encoding='utf-8')}")

    def kill(self) -> None:
        """Kill the server with all its workers, without notice."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def serving(command: list[str], folder: Path, health: str) -> Iterator[str]:
    """Run a server; give its URL once ``health`` answers."""
    server = Server(command, folder, health)
    try:
        server.start()
        yield server.url
    finally:
        server.kill()


def mlflow_command(store: str, artifacts: Path) -> list[str]:
    """Return the command of an MLflow server that keeps runs in ``store`` and hands on artifacts."""
    command = ["mlflow", "server", "--port", "{port}", "--workers", "1", "--backend-store-uri", store]
    return [*command, "--artifacts-destination", artifacts.as_uri()]


@pytest.fixture
def mlflow_server(empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an MLflow server with a database of its own; clients are patient with it on a busy machine."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    folder = tmp_path / "mlflow"
    shutil.copyfile(empty_home / "mlflow.db", tmp_path / "server.db")
    with serving(mlflow_command(f"sqlite:///{tmp_path / 'server.db'}", folder), folder, "/health") as url:
        yield url
