"""Servers that tests start and end: any program that answers on a port, and MLflow's own over an embedded store."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest


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
        for _ in range(2000):  # MLflow's takes more than a minute to start on a busy machine
            assert server.poll() is None, log.read_text(encoding="utf-8")
            try:
                urllib.request.urlopen(url + health, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(f"the server does not answer: {log.read_text(encoding='utf-8')}")
        yield url
    finally:
        os.killpg(server.pid, 9)  # MLflow's has workers of its own
        server.wait()


@pytest.fixture
def mlflow_server(empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an MLflow server with a database of its own; clients are patient with it on a busy machine."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    folder = tmp_path / "mlflow"
    shutil.copyfile(empty_home / "mlflow.db", tmp_path / "server.db")
    store = f"sqlite:///{tmp_path / 'server.db'}"
    command = ["mlflow", "server", "--port", "{port}", "--workers", "1", "--backend-store-uri", store]
    with serving([*command, "--artifacts-destination", folder.as_uri()], folder, "/health") as url:
        yield url
