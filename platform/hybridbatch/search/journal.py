"""A ledger in one plain file: a line of JSON for everything that happened, in order.

Optuna's journal storage reads and writes it. Here is what it takes for the file to outlive a driver that is killed
while it writes, and a disk that fills up meanwhile.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock  # a lock of one's own is one of these

from hybridbatch.foundation import file_lock
from hybridbatch.foundation.errors import StoreError, first_line

SCHEME = "journal:"
_START = b'{"op_code":'  # of every line
_BLOCK = 1 << 16  # bytes that are read at a time from the end of the file
_log = logging.getLogger(__name__)


class JournalLedger(JournalStorage):
    """Optuna's journal storage on a file, which is made when it is not there.

    Args:
        url: ``journal:///folder/ledger.log``.

    Raises:
        OSError: If the file cannot be read or made.
        StoreError: If it is no journal, or damaged in the middle.
        ValueError: If the URL names no absolute path.
    """

    def __init__(self, url: str) -> None:
        self.file = Path(url.removeprefix(f"{SCHEME}//"))
        if not url.startswith(f"{SCHEME}///"):
            raise ValueError("a path that is not absolute")
        self.file.parent.mkdir(parents=True, exist_ok=True)
        lock = _WriteLock(self.file)
        backend = JournalFileBackend(str(self.file), lock_obj=lock)
        with lock.held():  # drops what a killed writer left
            pass
        try:
            super().__init__(backend)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                "the ledger's journal is damaged",
                file=self.file,
                path=_first_damaged(self.file),
                seen=first_line(error),
                allowed="a line of JSON, written by Optuna's journal storage",
                remedy="bring the file back from a copy, or move it away: `hybridbatch resume` makes the ledger anew "
                "from the trial folders",
            ) from error


class _WriteLock(BaseJournalFileLock):
    """Whoever writes holds it; it goes with its holder.

    Optuna's own locks outlive a holder that is killed, and are broken after 30 seconds, holder or not.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._holding = file, ExitStack()

    def acquire(self) -> bool:
        """Wait in line for the lock. What is half-written then was left by a writer that is gone: it is dropped."""
        self._holding.enter_context(file_lock.held(self._file.with_name(f"{self._file.name}.writing")))
        try:
            _drop_unfinished(self._file)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Let the next one write."""
        self._holding.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it."""
        self.acquire()
        try:
            yield
        finally:
            self.release()


def _drop_unfinished(file: Path) -> None:
    """Cut off a last line that was not written to its end, or of which a power cut left something else."""
    size = file.stat().st_size
    if size == 0:
        return
    with file.open("rb") as opened:
        head = opened.read(len(_START))
    if head != _START[: len(head)]:  # nothing of it is ours to cut
        raise StoreError(
            "this file is no journal of a ledger",
            file=file,
            path="stores.ledger",
            seen=head,
            allowed="a file that is not there yet, or one that a study made",
        )
    start, line = _last_line(file, size)
    if line.endswith(b"\n") and _is_entry(line):
        return
    os.truncate(file, start)
    _log.warning("%s: dropped the last %d bytes, which a killed writer left unfinished", file, size - start)


def _last_line(file: Path, size: int) -> tuple[int, bytes]:
    """Return where the last line starts, and the line."""
    tail, start = b"", size
    with file.open("rb") as opened:
        while start > 0 and b"\n" not in tail[:-1]:
            step = min(_BLOCK, start)
            start -= step
            opened.seek(start)
            tail = opened.read(step) + tail
    before = tail.rfind(b"\n", 0, len(tail) - 1) + 1
    return start + before, tail[before:]


def _is_entry(line: bytes) -> bool:
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict)


def _first_damaged(file: Path) -> str | None:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not _is_entry(line):
                return f"line {number}"
    return None
