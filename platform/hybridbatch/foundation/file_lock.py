"""A lock that one process of a machine holds while it makes what others need, too."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybridbatch.foundation.errors import readable_disk_errors


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold the lock ``file`` while the block runs; others wait in line, and a killed process leaves none behind.

    The file stays, since removing it would let two in.

    Raises:
        StoreError: If it cannot be written.
    """
    with readable_disk_errors(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = open(file, "w", encoding="utf-8")  # noqa: SIM115 - closed below, outside what is made readable
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
