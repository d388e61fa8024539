"""A lock between processes of one machine that goes with its holder: a killed process leaves none behind."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hybridbatch.foundation.errors import readable_disk_errors

_LOOK_AGAIN = 0.2  # seconds between two looks at what its holder does


@contextmanager
def held(file: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock at ``file``, which stays there afterwards, since removing it would let two in.

    Args:
        file: Where the lock is.
        waiting: Called now and then while another process has it. Who only looks now and then may be passed by others;
            without it the processes stand in line.

    Raises:
        StoreError: If the file cannot be written.
    """
    with readable_disk_errors(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = open(file, "ab")  # noqa: SIM115 - closed below, outside what is made readable
    with lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if waiting is None else fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                time.sleep(_LOOK_AGAIN)
        yield
