"""One writer of a study at a time: two that both search and then create would make two runs of one trial."""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hybridbatch.foundation.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hybridbatch.spec.folders import StudyFolder

_REMEDY = "run `hybridbatch resume` when it is done: nothing is lost"
_LOCK_WAIT = 60.0  # seconds; longer than the projection of one trial takes


@contextmanager
def only_writer(study: StudyFolder, what: str = "tracking", remedy: str = _REMEDY) -> Iterator[None]:
    """Hold one of a study's locks; the system takes it back when its holder dies.

    Args:
        study: The study.
        what: The lock: what is written under it.
        remedy: What to do when another process holds it for a minute.

    Raises:
        StoreError: If it does.
    """
    study.path.mkdir(parents=True, exist_ok=True)
    lock = study.path / f"{what}.lock"
    with lock.open("a", encoding="utf-8") as file:
        deadline = time.monotonic() + _LOCK_WAIT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    problem = "another process has been writing this study to MLflow for a minute"
                    raise StoreError(problem, file=lock, remedy=remedy) from None
                time.sleep(0.05)
        yield
