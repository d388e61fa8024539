"""What a source file holds, without reading it again while it stays as it is."""

from __future__ import annotations

import time
from pathlib import Path

from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import UserError

SETTLED = 2 * 10**9  # nanoseconds; some disks keep times of change to two seconds


def unchanged_fingerprint(file: Path, cache: Path) -> str:
    """Return the fingerprint of the content of ``file``, remembered while its size and time of change stay the same.

    A file that changed a moment ago is not remembered, since it might change again within a tick of the disk's clock.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        stat = file.stat()
        seen = [str(file.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino]
        note = cache / "sources" / f"{fingerprint.of_json(seen)}.txt"
        if note.is_file():
            return note.read_text(encoding="ascii")
        content = fingerprint.of_files([file])
        settled = time.time_ns() - stat.st_mtime_ns > SETTLED
    except OSError as error:
        problem = "not a file" if file.is_dir() else "cannot read the file"
        raise UserError(problem, file=file, seen=error.strerror) from error
    if settled:
        atomic.write_text(note, content)
    return content
