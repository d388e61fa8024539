"""A Ray cluster of several nodes on one machine, each a `ray start` of its own, any of which can be killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
from tests.chaos.cluster_view import ClusterView

from hybridbatch.cluster.driver import ENVIRONMENT

# A node that does not answer for fifteen seconds is taken for dead; a busy machine may need some of them, and many more
# for a start.
_PATIENCE = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "10",
    "RAY_raylet_start_wait_time_s": "300",
}
# A token of its own: `ray start` looks for one in the user's folder, and finds it or not.
_TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a-token-of-the-chaos-tests"}
IN_CLUSTER = {**ENVIRONMENT, **_TOKEN}  # environment of whatever runs in the cluster or connects to it
DEAD_AFTER = 15.0  # seconds
_OBJECT_STORE = 100 * 2**20  # bytes a node; what trials exchange through Ray takes kilobytes
_START_SECONDS = 600
_COMES_WITHIN = 120.0  # seconds for one node; on a calm machine it is there after ten


class Node:
    """One node: the process of its `ray start` and all below it.

    Args:
        command: The arguments of `ray start`.
        log: File for what it prints.
    """

    # Ports that a raylet has to find out it waits fifteen seconds for, which a busy machine may not keep.
    _PORTS = ("dashboard-agent-grpc", "dashboard-agent-listen", "metrics-export", "runtime-env-agent")

    def __init__(self, command: list[str], log: Path) -> None:
        self._command, self._log = [*command, *(f"--{name}-port={steady_port()}" for name in self._PORTS)], log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the node; it is there when the cluster says so."""
        with self._log.open("a", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "ray.scripts.scripts",
                    "start",
                    "--block",
                    "--disable-usage-stats",
                    *self._command,
                ],
                env={**os.environ, **IN_CLUSTER, **_PATIENCE},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def tree(self) -> list[psutil.Process]:
        """Return all living processes of the node, the first one first."""
        if self._process is None or self._process.poll() is not None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def raylet(self) -> psutil.Process | None:
        """Return the raylet, which leads the node."""
        return next((one for one in self.tree() if title(one).endswith("/raylet")), None)

    def actors(self, *titles: str) -> list[psutil.Process]:
        """Return the processes of actors whose title starts so."""
        return [one for one in self.tree() if title(one).startswith(titles)]

    def kill(self) -> None:
        """Kill the node with all that runs on it."""
        killed = self.tree()
        for process in killed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(killed, timeout=30)
        if self._process is not None:
            self._process.wait(30)
            self._process = None


class LocalCluster:
    """A head and further nodes, one slot for a worker on each.

    Args:
        folder: Folder for what the nodes print; Ray's own logs lie in its temporary folder.
        nodes: Number of nodes besides the head.
    """

    def __init__(self, folder: Path, nodes: int = 2) -> None:
        folder.mkdir(parents=True)
        self.folder, self.address = folder, f"127.0.0.1:{steady_port()}"
        self.view = ClusterView(self.address, {**os.environ, **IN_CLUSTER})
        fitted = ["--node-ip-address=127.0.0.1", "--num-cpus=1", f"--object-store-memory={_OBJECT_STORE}"]
        fitted.append("--include-log-monitor=false")  # nobody listens, and each takes a tenth of a core
        head = ["--head", f"--port={self.address.rpartition(':')[2]}", "--include-dashboard=false"]
        self.head = Node([*head, *fitted], folder / "head.log")
        self.nodes = [
            Node([f"--address={self.address}", f"--node-name=node-{number}", *fitted], folder / f"node-{number}.log")
            for number in range(nodes)
        ]

    @property
    def all_nodes(self) -> list[Node]:
        """All nodes, the head first."""
        return [self.head, *self.nodes]

    def start(self) -> None:
        """Start all nodes and wait until they are there."""
        self.head.start()
        self._wait_for_port()
        for number, node in enumerate(self.nodes):
            node.start()
            self.wait_for_nodes(range(number + 1))  # two that start at once take the same names for their sockets

    def _wait_for_port(self) -> None:
        host, _, port = self.address.rpartition(":")
        for _ in self._patiently():
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), timeout=1).close()
                return

    def wait_for_nodes(self, numbers: Iterable[int] | None = None, alone: bool = True) -> None:
        """Wait until the nodes of these ``numbers`` (None: all) are in the cluster.

        Who does not come in time is started anew. With ``alone`` no other node, such as a dead one, is to be left.
        """
        wanted = {f"node-{number}": self.nodes[number] for number in numbers or range(len(self.nodes))}
        since = time.monotonic()
        for _ in self._patiently():
            there = {name for _, name in self.view.state()["nodes"]}
            missing = [node for name, node in wanted.items() if name not in there]
            if not missing and (len(there) == len(wanted) + 1 or not alone):
                return
            if missing and time.monotonic() - since > _COMES_WITHIN:
                missing[0].kill()
                missing[0].start()
                since = time.monotonic()

    def bring_back(self, node: Node) -> None:
        """Start a node that was lost, and do not wait for it: the study goes on meanwhile."""
        node.kill()  # what a lost raylet leaves behind: agents, and the process of `ray start`
        others = [number for number, one in enumerate(self.nodes) if one is not node]
        self.wait_for_nodes(others, alone=False)  # two that start at once take the same names for their sockets
        node.start()

    def _patiently(self) -> Iterator[None]:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            yield
            time.sleep(0.5)
        logs = "\n".join(file.read_text(encoding="utf-8")[-2000:] for file in self.folder.glob("*.log"))
        raise AssertionError(f"the cluster is not complete after {_START_SECONDS} s:\n{logs}")

    def drain(self, number: int, seconds: int) -> None:
        """Give notice that a node (not the head) goes in so many seconds, as a provider of spot machines does."""
        (identity,) = [identity for identity, name in self.view.state()["nodes"] if name == f"node-{number}"]
        reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
        command = ["drain-node", "--address", self.address, "--node-id", identity, *reason]
        subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", *command, "--deadline-remaining-seconds", str(seconds)],
            env={**os.environ, **IN_CLUSTER},
            check=True,
            capture_output=True,
        )

    def stop(self) -> None:
        """End all nodes."""
        for node in reversed(self.all_nodes):
            frozen = node.raylet()
            if frozen is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    frozen.send_signal(signal.SIGCONT)
            node.kill()
        self.view.close()


def steady_port() -> int:
    """Return a free port that no system and no worker of Ray gives away by itself."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), closing(socket.socket()) as tried:
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def title(process: psutil.Process) -> str:
    """Return the first word of a process's command line, empty when it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return "".join(process.cmdline()[:1])
    return ""
