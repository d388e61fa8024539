"""Files and folders that are either whole or not there, also after a power cut."""

from __future__ import annotations

import errno
import fcntl
import glob
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from hybridbatch.foundation.errors import readable_disk_errors

_DRAFT = re.compile(r"\..+\.[0-9a-f]{8}(\.\d+)?")  # the number: a folder that was replaced and not yet removed


def write_text(path: Path, text: str, durable: bool = True, private: bool = False) -> None:
    """Write ``text`` to ``path`` so that a reader sees the old content or the new, never a part.

    With ``durable`` it also outlasts a power cut, at the price of a wait for the disk; with ``private`` nobody but its
    owner can read it, at no moment.
    """
    with file_written_whole(path, durable=durable, private=private) as file:
        file.write(text.encode("utf-8"))


def write_text_once(path: Path, text: str) -> bool:
    """Write ``text`` to ``path`` unless something is there; return whether it was. The first of several wins."""
    with readable_disk_errors(path.parent):
        draft = _draft_of(path)
        write_text(draft, text)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise
            if path.exists():  # a disk without links: as near as it can be had
                return False
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        return True


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the JSON value in ``path``."""
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def file_written_whole(path: Path, *, durable: bool = True, private: bool = False) -> Iterator[BinaryIO]:
    """Yield an open draft that becomes ``path``, replacing what is there, when the block ends without an error.

    Args:
        path: The file to make; its folder is made too.
        durable: Whether it also outlasts a power cut, at the price of a wait for the disk.
        private: Whether only its owner may read it.

    Raises:
        StoreError: If the disk is full or not writable.
    """
    with readable_disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft_of(path)
        try:
            with open(draft, "wb", opener=_for_its_owner if private else None) as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def folder_written_whole(folder: Path, *, replace: bool = True, go_on: str | None = None) -> Iterator[Path]:
    """Yield a draft folder that becomes ``folder`` when the block ends without an error.

    Args:
        folder: The folder to make.
        replace: What happens to a ``folder`` that is there in the end: replaced when ours is newer, kept when its name
            says its content, since others may be reading it.
        go_on: What else the reader can do when the disk refuses; None: what holds for a study.
    """
    with readable_disk_errors(folder, go_on):
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft_of(folder)
        draft.mkdir()
        with _held(draft):
            try:
                yield draft
                for file in draft.rglob("*"):
                    if file.is_file():
                        _sync(file)
                _move(draft, folder, replace)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise


def move_into_place(draft: Path, path: Path) -> None:
    """Move the finished file ``draft`` to ``path`` on the same disk, replacing what is there; outlasts a power cut."""
    _sync(draft)
    draft.replace(path)
    _sync(path.parent)


def drafts(folder: Path) -> list[Path]:
    """Return the drafts below ``folder``: what is being written, and what killed processes left behind."""
    return [path for path in folder.rglob(".*") if _DRAFT.fullmatch(path.name)]


def remove_drafts(folder: Path) -> None:
    """Remove the drafts below ``folder`` that killed processes left behind; nobody else may be writing there."""
    for path in drafts(folder):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove_abandoned_drafts(folder: Path) -> None:
    """Remove the drafts of ``folder`` whose writers were killed; those that somebody is writing are left alone."""
    for draft in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
        if _DRAFT.fullmatch(draft.name) and draft.is_dir():
            with suppress(FileNotFoundError), _held(draft) as mine:
                if mine:
                    shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a folder while it is written or removed; yield whether it is held, which some network disks do not know.

    The system lets go of what a killed process held.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")


def _move(draft: Path, folder: Path, replace: bool) -> None:
    """Move ``draft`` to ``folder``, also when other processes do the same at the same moment."""
    moved: list[Path] = []
    while True:
        try:
            draft.replace(folder)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if not replace:
            shutil.rmtree(draft)
            break
        old = folder.with_name(f"{draft.name}.{len(moved)}")
        with suppress(FileNotFoundError):
            folder.replace(old)
            moved.append(old)
    for old in moved:
        shutil.rmtree(old, ignore_errors=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
