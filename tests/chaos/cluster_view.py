"""What the head of a cluster knows of it, asked again and again through one process: the test itself joins nothing.

    python -m tests.chaos.cluster_view ADDRESS

answers each line of its input with one of JSON. It speaks to the head alone, not through a node, as any program that
joins the cluster does: nodes are what a chaos test takes away. A new process for each question would cost a busy
machine seconds, in which the nodes asked for cannot start.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

_TRIES = 3


class ClusterView:
    """A look at a cluster.

    Args:
        address: Of the head.
        environment: Environment of the process, with the cluster's token.
    """

    def __init__(self, address: str, environment: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", "tests.chaos.cluster_view", address]
        self._environment = dict(environment)
        self._process: subprocess.Popen[str] | None = None

    def state(self) -> dict[str, Any]:
        """Return ``total`` and ``free`` resources, the number of placement ``groups`` and the living ``nodes``.

        Nodes are pairs of identity and name.

        Raises:
            AssertionError: If the head does not answer.
        """
        for _ in range(_TRIES):
            process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write("?\n")
                process.stdin.flush()
                for line in process.stdout:
                    if line.startswith("{"):  # Ray may print more
                        found: dict[str, Any] = json.loads(line)
                        return found
            self.close()  # it ends when the head is not there
        raise AssertionError(f"the head of the cluster did not answer {_TRIES} times")

    def _start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        return self._process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def main() -> None:
    """Answer."""
    from ray._private.state import GlobalState
    from ray._raylet import GcsClientOptions  # type: ignore[attr-defined]  # compiled, without stubs

    head = GlobalState()
    head._initialize_global_state(
        GcsClientOptions.create(sys.argv[1], None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False)
    )
    for _ in sys.stdin:
        groups = [one for one in head.placement_group_table().values() if one["state"] != "REMOVED"]
        answer = {
            "total": head.cluster_resources(),
            "free": head.available_resources(),
            "groups": len(groups),
            "nodes": [(one["NodeID"], one["NodeName"]) for one in head.node_table() if one["Alive"]],
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
