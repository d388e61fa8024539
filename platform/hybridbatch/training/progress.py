"""How far a running trial is, for whoever watches from outside: a small file that is rewritten about once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter

from hybridbatch.foundation import atomic
from hybridbatch.spec.trial import Record

_INTERVAL = 0.5  # seconds between two writes


class Progress(Record):
    """How far a trial is.

    Attributes:
        phase: ``loading``, ``adapting`` (a stage before the first step), ``training``, ``evaluating`` or ``reporting``.
        step: Steps done, of ``steps``; while adapting, those of the stage.
        loss: Newest training loss.
        pairs_per_second: Newest rate.
        summary: Measures of the newest evaluation on the selection set.
        updated: Seconds since the epoch.
    """

    phase: str
    step: int
    steps: int
    loss: float | None = None
    pairs_per_second: float | None = None
    summary: dict[str, float] = {}
    updated: float = 0.0


_ADAPTER = TypeAdapter(Progress)


def nobody_watches(now: Progress) -> None:
    """Take no note of how far a trial is."""


class ProgressFile:
    """Writes :class:`Progress`; a worker other than the first writes nothing.

    Args:
        file: Where to.
        steps: How many there are to do.
        active: Whether this is the first worker.
        watch: Called on the first worker with every change, also one that is not written.
    """

    def __init__(
        self, file: Path, steps: int, active: bool, watch: Callable[[Progress], None] = nobody_watches
    ) -> None:
        self._file, self._active, self._watch = file, active, watch
        self._now = Progress(phase="loading", step=0, steps=steps)
        self._written = 0.0

    @property
    def now(self) -> Progress:
        """How far it is."""
        return self._now

    def update(self, *, force: bool = False, **changes: object) -> None:
        """Take note of changes; write them at once in a new phase, else when the last write is long enough ago."""
        before, self._now = self._now, self._now.model_copy(update={**changes, "updated": time.time()})
        force = force or self._now.phase != before.phase
        if self._active:
            self._watch(self._now)
        if self._active and (force or self._now.updated - self._written > _INTERVAL):
            atomic.write_text(self._file, self._now.model_dump_json() + "\n", durable=False)
            self._written = self._now.updated


def read_progress(file: Path) -> Progress | None:
    """Return how far a trial is, or None when nothing is known."""
    try:
        return _ADAPTER.validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
