"""Errors that a person reads: where, what was seen, what is allowed, how to mend it."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from hybridbatch.foundation.passwords import hide_passwords

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_OR_FORBIDDEN = (*_FULL, errno.EROFS, errno.EACCES, errno.EPERM)
_DISK_REFUSES = (*_FULL_OR_FORBIDDEN, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)  # something else stands there


class HybridBatchError(Exception):
    """Base of every error that is shown as a message instead of a traceback.

    Args:
        problem: One sentence that says what is wrong.
        file: The file (or store) in which it was found.
        path: The dotted path inside that file, or the record.
        seen: The value that was found.
        allowed: What would have been accepted.
        remedy: What the reader can do about it.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        path: str | None = None,
        seen: object = None,
        allowed: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem, self.file, self.path = problem, file, path
        self.seen, self.allowed, self.remedy = seen, allowed, remedy
        super().__init__(self.render())

    def __reduce__(self) -> tuple[object, ...]:  # Ray sends errors between processes by pickling them
        fields = (self.problem, str(self.file) if self.file else None, self.path)
        return _rebuild, (type(self), *fields, self.seen, self.allowed, self.remedy)

    def render(self) -> str:
        """Return the message, one fact a line, in a fixed order; passwords of URLs are hidden."""
        place = " -> ".join(str(part) for part in (self.file, self.path) if part)
        lines = [f"{place}: {self.problem}" if place else self.problem]
        if self.seen is not None:
            lines.append(
                f"  seen:    {shorten(hide_passwords(repr(self.seen)))}"
            )  # a part of a URL is not known for one
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        if self.remedy:
            lines.append(f"  mend:    {self.remedy}")
        return hide_passwords("\n".join(lines))

    def retold(self, *, problem: str | None = None, path: str | None = None) -> Self:
        """Return the same error, of the same kind, with another ``problem`` or ``path`` where one is given."""
        return type(self)(
            problem or self.problem,
            file=self.file,
            path=path or self.path,
            seen=self.seen,
            allowed=self.allowed,
            remedy=self.remedy,
        )


def _rebuild(
    kind: type[HybridBatchError],
    problem: str,
    file: str | None,
    path: str | None,
    seen: object,
    allowed: str | None,
    remedy: str | None,
) -> HybridBatchError:
    return kind(problem, file=file, path=path, seen=seen, allowed=allowed, remedy=remedy)


class UserError(HybridBatchError):
    """A mistake in what the user gave: a file, an option, a name."""


class ConflictError(UserError):
    """Settings that are acceptable one by one and not together, as a search may draw them."""


class StoreError(HybridBatchError):
    """A store (ledger, tracking, disk) that cannot be reached or written."""


class TrialError(HybridBatchError):
    """A trial that cannot give a result with these settings, such as one whose loss is not finite."""


class OneWorkerError(TrialError):
    """The same where one of several workers knows it alone, and the others wait for it in vain."""


class ExperimentErrors(UserError):
    """Every mistake found in one experiment file, shown together."""

    def __init__(self, errors: list[HybridBatchError]) -> None:
        self.errors = errors  # each names its own place
        super().__init__("; ".join(error.problem for error in errors))

    def __reduce__(self) -> tuple[object, ...]:
        return ExperimentErrors, (self.errors,)

    def render(self) -> str:
        """Return all messages, one after the other."""
        return "\n".join(error.render() for error in self.errors)

    def retold(self, *, problem: str | None = None, path: str | None = None) -> Self:
        """Return all of them as one error with another ``problem`` or ``path``."""
        return type(self)([UserError(problem or self.problem, path=path)])


def shorten(text: str, limit: int = 300) -> str:
    """Return ``text``, cut to ``limit`` characters with a mark where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_of(names: Iterable[str]) -> str:
    """Return ``names`` as a sorted, readable list."""
    return ", ".join(sorted(names))


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """Return a remedy that names the closest of ``names``, or None when nothing is close."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else None


_GO_ON = "choose another --home; then run `hybridbatch resume`: everything already recorded is kept"


@contextmanager
def readable_disk_errors(folder: Path, go_on: str | None = None) -> Iterator[None]:
    """Turn a full or read-only disk into a :class:`StoreError` that says how much room is left.

    Args:
        folder: Where is written.
        go_on: What else the reader can do, and what then; None: what holds for a study.
    """
    try:
        yield
    except HybridBatchError:
        raise
    except Exception as error:
        reason = _what_the_disk_said(error)
        if reason is None:
            raise
        full = reason in map(os.strerror, _FULL)
        mend = "free some space" if full else "see who may write there, and that no file or folder is in the way"
        raise StoreError(
            f"cannot write: {reason}",
            file=getattr(error, "filename", None) or folder,
            seen=f"{free_megabytes(folder):.0f} MB free",
            remedy=f"{mend}, or {go_on or _GO_ON}",
        ) from error


def _what_the_disk_said(error: Exception) -> str | None:
    """Return why the disk refused, or None when the error is of another kind."""
    if isinstance(error, OSError) and error.errno in _DISK_REFUSES:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", str(error)):
        return os.strerror(errno.ENOSPC)  # numpy says how much it wrote and not why no more: mostly the disk is full
    # Libraries written in Rust raise errors of their own kind, with the system's words in them.
    return next((words for number in _FULL_OR_FORBIDDEN if (words := os.strerror(number)) in str(error)), None)


def free_megabytes(folder: Path) -> float:
    """Return the free space of the disk that holds ``folder``, in MB."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    stat = os.statvfs(existing)
    return stat.f_bavail * stat.f_frsize / 1e6
