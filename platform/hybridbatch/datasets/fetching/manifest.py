"""The record of what was fetched into a folder: from where, and what it was.

It lies beside the data. Where no checksum is published, the first download is taken at its word and every later one has
to agree with it.
"""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, RootModel, ValidationError

from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError

NAME = ".hybridbatch-fetched"  # JSON, without that ending: loaders may look for *.json


class Fetched(BaseModel):
    """One download.

    Attributes:
        url: Where it came from.
        checksum: SHA-256 of what was downloaded.
        size: Bytes of it.
        day: When, as an ISO date.
        unpacked: Size of every file that came out of an archive, by its path from this folder.
    """

    url: str
    checksum: str
    size: int
    day: str
    unpacked: dict[str, int] | None = None

    def is_whole(self, folder: Path) -> bool:
        """Return whether all that was unpacked is still there, judged by size."""
        return all(_size(folder / name) == size for name, size in (self.unpacked or {}).items())


class _Manifest(RootModel[dict[str, Fetched]]):
    """All downloads into one folder, by name."""


def recorded(target: Path) -> Fetched | None:
    """Return the record of the file or archive ``target``, None when there is none.

    Raises:
        UserError: If the manifest is damaged.
    """
    return _read(target.parent).get(target.name)


def record(target: Path, url: str, checksum: str, size: int, unpacked: dict[str, int] | None) -> None:
    """Record a download; several processes may do so at the same time. For the arguments see :class:`Fetched`."""
    folder = target.parent
    day = datetime.now(UTC).date().isoformat()
    with open(folder / f"{NAME}.lock", "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = _read(folder)
        entries[target.name] = Fetched(url=url, checksum=checksum, size=size, day=day, unpacked=unpacked)
        draft = folder / f"{NAME}.part"
        draft.write_text(_Manifest(dict(sorted(entries.items()))).model_dump_json(indent=1) + "\n", encoding="utf-8")
        atomic.move_into_place(draft, folder / NAME)


def _read(folder: Path) -> dict[str, Fetched]:
    file = folder / NAME
    try:
        return _Manifest.model_validate_json(file.read_bytes()).root
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValidationError as error:
        raise UserError(
            "the record of what was fetched is damaged",
            file=file,
            seen=error.errors(include_url=False)[0]["msg"],
            remedy="delete it: files are then taken as if you had put them there yourself",
        ) from error


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None
