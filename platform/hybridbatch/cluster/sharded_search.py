"""Parts of work on Ray: a pool of workers takes them one by one; a part whose worker dies is done again by another.

What a part comes to hangs on the part alone, so a lost worker costs time and changes nothing. Files of embeddings lie
where all machines see them; only questions, lists and counts travel.
"""

from __future__ import annotations

import math
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hybridbatch.evaluation.parts_of_work import Part, Watch
from hybridbatch.foundation.errors import HybridBatchError, StoreError, UserError, first_line

_ATTEMPTS = 4  # of one part
_POLL_SECONDS = 0.5
_LOGS = "look at Ray's logs (logs/ray in the home folder); when memory is short, use fewer --workers"
_HUNG_SECONDS = 3600.0  # between two tiles or batches pass seconds; training a large index takes longest


class PartWorker:
    """Does parts of work in a process of its own; it runs as an actor with a second thread that tells progress."""

    def __init__(self) -> None:
        self._state = (-1, 0, 0)

    def state(self) -> tuple[int, int, int]:
        """Return the number of the part in hand, what is done of it and what it has in all."""
        return self._state

    def run(self, part: Part, request: Any) -> Any:
        """Return the answer of a part, or the error that tells why there is none: retrying would not help."""

        def progress(done: int, total: int) -> None:
            self._state = (part.number, done, total)

        progress(0, 0)
        try:
            return part.run(request, progress)
        except HybridBatchError as error:
            return error
        except Exception:
            traceback.print_exc()  # to the worker's log: only the cause travels
            raise


def part_failed(number: int, cause: BaseException) -> HybridBatchError:
    """Return what is said of a part that ended in an error: the error itself when it is made to be read."""
    if isinstance(cause, HybridBatchError):
        return cause
    return StoreError(
        "a part of the work failed",
        path=f"shard {number}",
        seen=f"{type(cause).__name__}: {cause}",
        remedy=_LOGS,
    )


@dataclass
class _Busy:
    """A worker with a part in hand."""

    worker: Any
    place: int
    state: tuple[int, int, int] = (-1, 0, 0)
    asked: Any = None
    changed: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class RayRunner:
    """Runs parts on the Ray cluster that this process is connected to.

    Attributes:
        workers: Number of worker processes.
        threads: Threads, and CPUs that are reserved, of each.
        gpus: GPUs that are reserved for each.
        hung_seconds: A worker that makes no progress for so long is given up like a dead one.
    """

    workers: int
    threads: int
    gpus: int = 0
    hung_seconds: float = _HUNG_SECONDS

    @classmethod
    def fitting(cls, workers: int | None, gpus: int = 0) -> RayRunner:
        """Return a runner that fills the cluster: as many CPUs for each worker as fit.

        Args:
            workers: Number of workers; None takes one for every two CPUs, or every GPU when they are used.
            gpus: GPUs of each worker.

        Raises:
            UserError: If so many workers do not fit.
        """
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = int(sum(node.get("CPU", 0) for node in nodes))
        accelerators = int(sum(node.get("GPU", 0) for node in nodes))
        wanted = workers or (accelerators // gpus if gpus else max(1, cpus // 2))
        for threads in range(max(1, cpus // max(1, wanted)), 0, -1):
            fit = sum(
                min(math.floor(node.get("CPU", 0) / threads), math.floor(node.get("GPU", 0) / gpus) if gpus else cpus)
                for node in nodes
            )
            if wanted and fit >= wanted:
                return cls(wanted, threads, gpus)
        raise UserError(
            "so many workers do not fit on this cluster",
            path="--workers",
            seen=f"{wanted} workers of 1 CPU and {gpus} GPUs at least",
            allowed=f"what the cluster has: {cpus} CPUs, {accelerators} GPUs on {len(nodes)} nodes",
            remedy="ask for fewer, add nodes, or use --local",
        )

    def run(self, parts: Sequence[Part], request: Any, watch: Watch) -> list[Any]:
        """Return the answers in the order of the parts.

        Raises:
            HybridBatchError: What a part met that trying again would not mend.
            StoreError: If a part met anything else, such as too little memory, or cost one worker after the other.
        """
        return _Pool(self, parts, request, watch).answers()


class _Pool:
    """The workers of one run."""

    def __init__(self, runner: RayRunner, parts: Sequence[Part], request: Any, watch: Watch) -> None:
        import ray

        self._runner, self._parts, self._watch = runner, parts, watch
        self._request = ray.put(request)
        self._waiting = deque(range(len(parts)))
        self._attempts = [0] * len(parts)
        self._answers: list[Any] = [None] * len(parts)
        self._idle: list[Any] = []
        self._busy: dict[Any, _Busy] = {}  # by the promise of an answer

    def answers(self) -> list[Any]:
        """Run all parts."""
        import ray

        try:
            while self._waiting or self._busy:
                self._hand_out()
                ready, _ = ray.wait(list(self._busy), timeout=_POLL_SECONDS)
                for promise in ready:
                    self._take(promise, self._busy.pop(promise))
                self._look_after()
        finally:
            for worker in [*self._idle, *(busy.worker for busy in self._busy.values())]:
                ray.kill(worker)
        return self._answers

    def _hand_out(self) -> None:
        while self._waiting and len(self._busy) < self._runner.workers:
            place = self._waiting.popleft()
            self._attempts[place] += 1
            worker = self._idle.pop() if self._idle else self._new_worker()
            self._busy[worker.run.remote(self._parts[place], self._request)] = _Busy(worker, place)

    def _new_worker(self) -> Any:
        import ray

        options = {"num_cpus": self._runner.threads, "num_gpus": self._runner.gpus, "max_concurrency": 2}
        return ray.remote(**options)(PartWorker).remote()

    def _take(self, promise: Any, busy: _Busy) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            answer = ray.get(promise)
        except RayTaskError as error:  # it would come again
            self._idle.append(busy.worker)
            raise part_failed(self._parts[busy.place].number, error.cause) from error
        except RayError as error:
            self._lost(busy, first_line(error))
            return
        self._idle.append(busy.worker)
        if isinstance(answer, HybridBatchError):
            raise answer
        attempts = self._attempts[busy.place]
        self._answers[busy.place] = replace(answer, cost=replace(answer.cost, attempts=attempts))

    def _look_after(self) -> None:
        """Ask busy workers how far they are, and give up those that have stood still for too long."""
        import ray
        from ray.exceptions import RayError

        for promise, busy in list(self._busy.items()):
            busy.asked = busy.asked or busy.worker.state.remote()
            if ray.wait([busy.asked], timeout=0)[0]:
                try:
                    state = ray.get(busy.asked)
                except RayError:  # its promise says it better
                    continue
                busy.asked = None
                if state != busy.state:
                    busy.state, busy.changed = state, time.monotonic()
                    if state[0] == self._parts[busy.place].number:
                        self._watch(*state)
            if time.monotonic() - busy.changed > self._runner.hung_seconds:
                del self._busy[promise]
                ray.kill(busy.worker)
                self._lost(busy, f"no progress for {self._runner.hung_seconds:.0f} seconds")

    def _lost(self, busy: _Busy, reason: str) -> None:
        if self._attempts[busy.place] >= _ATTEMPTS:
            raise StoreError(
                "a part of the work cost one worker after the other",
                path=f"shard {self._parts[busy.place].number}",
                seen=f"{_ATTEMPTS} attempts; {reason}",
                remedy=_LOGS,
            )
        self._waiting.appendleft(busy.place)
