"""MLflow's and Optuna's own pages over the stores of a home folder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console

from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.progress_bars import working
from hybridbatch.terminal.stopping import stopping_cleanly
from hybridbatch.tracking.store import TrackingStore

_HOST = "127.0.0.1"  # nothing listens beyond this machine
_GLANCE = 0.3  # seconds between two looks
_GRACE = 5.0  # seconds to end by itself
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes for evaluations that nobody here asks for
}


@dataclass(frozen=True)
class _Page:
    name: str
    port: int
    command: list[str]

    @property
    def answers(self) -> bool:
        """Whether somebody listens at the port."""
        with contextlib.suppress(OSError), socket.create_connection((_HOST, self.port), timeout=1):
            return True
        return False


def serve(home: HomeFolder, mlflow_port: int, optuna_port: int, console: Console) -> int:
    """Show the stores of ``home`` in the browser until Ctrl-C; return the exit code.

    Raises:
        UserError: If there is no study yet, a port is taken, or a server ends by itself.
    """
    if not home.studies():
        raise UserError(
            "there is no study in this home folder yet",
            file=home.path,
            remedy="`hybridbatch run FILE` makes one; another home folder is named with --home",
        )
    python, host = Path(sys.executable), ["--host", _HOST, "--port"]
    pages = [
        _Page("MLflow", mlflow_port, [
            str(python), "-m", "mlflow", "server", *host, str(mlflow_port), "--workers", "1",
            "--backend-store-uri", home.tracking_url, "--default-artifact-root", home.artifacts.as_uri(),
        ]),
        _Page("optuna-dashboard", optuna_port, [
            str(python.with_name("optuna-dashboard")), home.ledger_url, *host, str(optuna_port),
        ]),
    ]  # fmt: skip
    for page in pages:
        if page.answers:
            raise UserError(
                f"the port of {page.name} is taken",
                seen=page.port,
                allowed="a port that nobody listens at",
                remedy="choose others with --mlflow-port and --optuna-port",
            )
    log = home.logs / "ui.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with working(console, "opening the stores"):
        TrackingStore(home.tracking_url, home.artifacts).connect().search_experiments()  # makes missing tables
    with open(log, "a", encoding="utf-8") as chatter, stopping_cleanly():
        try:
            with _running(pages, chatter) as servers:
                with working(console, "starting the pages"):
                    while not all(page.answers for page in pages):
                        _check(pages, servers, log)
                        time.sleep(_GLANCE)
                for page in pages:
                    console.print(f"{page.name:<17} http://{_HOST}:{page.port}")
                console.print("Ctrl-C ends both", style="dim")
                while True:
                    _check(pages, servers, log)
                    time.sleep(_GLANCE)
        except KeyboardInterrupt:
            return 0


def _check(pages: list[_Page], servers: list[subprocess.Popen[bytes]], log: Path) -> None:
    for page, server in zip(pages, servers, strict=True):
        if server.poll() is not None:
            raise UserError(
                f"the page of {page.name} could not be kept open",
                file=log,
                seen=f"it ended with exit code {server.returncode}",
                remedy="the end of this file says why",
            )


@contextmanager
def _running(pages: list[_Page], chatter: IO[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for page in pages:
            # Each is the head of a group of its own, so that what it starts ends with it.
            servers.append(
                subprocess.Popen(
                    page.command,
                    stdout=chatter,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **_ENVIRONMENT},
                    start_new_session=True,
                )
            )
        yield servers
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for server in servers:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, number)
            for server in servers:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(_GRACE)
