"""MLflow's and Optuna's own pages over the stores of a home folder."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.tracking.store import TrackingStore

_HOST = "127.0.0.1"  # nothing listens beyond this machine


def serve(home: HomeFolder, mlflow_port: int, optuna_port: int, console: Console) -> int:
    """Show the stores of ``home`` in the browser until Ctrl-C; return the exit code.

    Raises:
        UserError: If there is no study yet, or a server ends by itself.
    """
    if not home.studies():
        raise UserError(
            "there is no study in this home folder yet",
            file=home.path,
            remedy="`hybridbatch run FILE` makes one; another home folder is named with --home",
        )
    console.print("starting the pages …", style="dim")
    TrackingStore(home.tracking_url, home.artifacts).connect().search_experiments()  # makes the tables when missing
    python = Path(sys.executable)
    servers = {
        f"MLflow            http://{_HOST}:{mlflow_port}": [
            str(python), "-m", "mlflow", "server", "--host", _HOST, "--port", str(mlflow_port), "--workers", "1",
            "--backend-store-uri", home.tracking_url, "--default-artifact-root", home.artifacts.as_uri(),
        ],
        f"optuna-dashboard  http://{_HOST}:{optuna_port}": [
            str(python.with_name("optuna-dashboard")), home.ledger_url, "--host", _HOST, "--port", str(optuna_port),
        ],
    }  # fmt: skip
    log = home.logs / "ui.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a", encoding="utf-8") as chatter:
        running = {name: _start(command, chatter) for name, command in servers.items()}
        try:
            for name in running:
                console.print(name, highlight=False)
            console.print("Ctrl-C ends both", style="dim")
            while all(process.poll() is None for process in running.values()):
                time.sleep(0.3)
            dead = next(name for name, process in running.items() if process.poll() is not None)
            raise UserError(
                "a page could not be kept open", file=log, seen=dead, remedy="is the port in use? choose another"
            )
        except KeyboardInterrupt:
            return 0
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)


def _start(command: Sequence[str], chatter: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return subprocess.Popen(command, stdout=chatter, stderr=subprocess.STDOUT, env=environment)  # type: ignore[call-overload, no-any-return]
