"""A real head of a Ray cluster, with dashboard and token, as a person starts one: for tests that talk to a cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "a-token-of-the-tests-0123456789abcdef"  # its own: never that of the user
# Ray takes loopback for the machine's own address, unless it may not build clusters of several machines.
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_PATIENCE = 300.0  # seconds; on a calm machine a tenth of it is needed


@dataclass(frozen=True)
class Head:
    """A running head."""

    url: str
    address: str
    folder: Path


@contextmanager
def ray_head(cpus: int = 2, autoscaling: dict[str, Any] | None = None) -> Iterator[Head]:
    """Run a head with four units of the resource ``steady``, on loopback and free ports."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: paths of sockets have a limit
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
             "runtime-env-agent-port", "metrics-export-port", "ray-client-server-port", "node-manager-port",
             "object-manager-port")  # fmt: skip
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--include-dashboard=true", f"--num-cpus={cpus}",
        '--resources={"steady": 4}', f"--temp-dir={folder}", "--object-store-memory=200000000",
        "--min-worker-port=0", "--max-worker-port=0", *(f"--{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    if autoscaling is not None:
        provider = {**autoscaling["provider"], "gcs_address": f"127.0.0.1:{ports['port']}"}
        (folder / "autoscaling.json").write_text(json.dumps({**autoscaling, "provider": provider}), encoding="utf-8")
        command.append(f"--autoscaling-config={folder / 'autoscaling.json'}")
    log = folder / "head.log"
    with log.open("w", encoding="utf-8") as output:
        head = subprocess.Popen(
            command, env=_environment(), stdout=output, stderr=output, cwd=folder, start_new_session=True
        )
    made = Head(f"http://127.0.0.1:{ports['dashboard-port']}", f"127.0.0.1:{ports['port']}", folder)
    try:
        _wait_for(made, head, log)
        yield made
        assert head.poll() is None, f"the head ended by itself: {log.read_text(encoding='utf-8')}"
    finally:
        _end(head)
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at."""
    with ExitStack() as taken:
        sockets = [taken.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _environment() -> dict[str, str]:
    """Return what a person has set where the head is started: the package's environment first on the path, a token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "HYBRIDBATCH_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    more = {"PATH": path, "PYTHONPATH": str(ROOT / "platform"), "COLUMNS": "200", "RAY_worker_niceness": "0"}
    # Nodes that an autoscaler starts here are to stay on loopback too, and to be started soon.
    more |= {**ON_LOOPBACK, "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    return {**kept, **more, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}


def _wait_for(made: Head, head: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the head takes jobs: its dashboard answers before the part that takes jobs does."""
    ask = urllib.request.Request(f"{made.url}/api/jobs/", headers={"Authorization": f"Bearer {TOKEN}"})
    end = time.monotonic() + _PATIENCE
    while True:
        assert head.poll() is None, log.read_text(encoding="utf-8")
        try:
            urllib.request.urlopen(ask, timeout=30).close()
            return
        except (OSError, urllib.error.HTTPError):
            assert time.monotonic() < end, log.read_text(encoding="utf-8")
            time.sleep(0.5)


def _end(head: subprocess.Popen[bytes]) -> None:
    """End the head and all that came of it: what it started is in sessions of its own."""
    started = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
    head.send_signal(signal.SIGTERM)
    try:
        head.wait(10)
    except subprocess.TimeoutExpired:
        head.kill()
        head.wait()
    for process in started:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(started, timeout=30)
