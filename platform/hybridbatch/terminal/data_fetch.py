"""Fetching a data set from the terminal, with progress bars."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TimeRemainingColumn, TransferSpeedColumn

from hybridbatch.datasets.fetching.fetch import FetchedFile, fetch
from hybridbatch.datasets.fetching.watching import Errand, Watcher
from hybridbatch.spec.sources import DataLocation, SourceSettings
from hybridbatch.terminal.consoles import plain_console
from hybridbatch.terminal.progress_bars import progress_bars
from hybridbatch.terminal.stopping import stopping_cleanly


def run_fetch(settings: SourceSettings, location: DataLocation, force: bool) -> list[FetchedFile]:
    """Fetch what the settings need, with progress bars on a terminal.

    Raises:
        UserError: If a file cannot be had or is not what was declared.
        StoreError: If the network or the disk refuses.
    """
    try:
        with stopping_cleanly(), _bars() as watcher:
            return fetch(settings.remote_files(), location, Errand(watcher), force=force)
    except KeyboardInterrupt:
        kept = f"stopped; what has arrived is kept: {settings.data_command('fetch')} goes on"
        plain_console(stderr=True).print(kept, style="yellow", soft_wrap=True)
        raise


def fetched_json(found: list[FetchedFile]) -> list[dict[str, Any]]:
    """Return for each file ``path`` and ``downloaded`` (false: it was there)."""
    return [{"path": str(one.path), "downloaded": one.downloaded} for one in found]


def print_fetched(settings: SourceSettings, found: list[FetchedFile], location: DataLocation, console: Console) -> None:
    """Print what became of the files, under which terms they come, and what to run next."""
    name = settings.dataset
    if not found:
        console.print(f"{name}: nothing to download; it comes from {settings.source}")
        return
    downloaded = sum(one.downloaded for one in found)
    said = f"{name}: {downloaded} files downloaded, {len(found) - downloaded} were there, below {location.root}"
    console.print(said, soft_wrap=True)
    terms = f"licence: {settings.licence}; {settings.source}"
    console.print(terms, style="dim", soft_wrap=True)
    see = f"see what is in it: {settings.data_command('stats')}"
    console.print(see, style="yellow", soft_wrap=True)


@contextmanager
def _bars() -> Iterator[Watcher]:
    """Yield somebody who shows a bar for each file under way; without a terminal, only what goes wrong is said."""
    console = plain_console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with progress_bars(console, *columns) as progress:
        yield _Bars(progress)


class _Bars:
    """Bars of the files under way."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def moved(self, path: str, done: int, size: int | None) -> None:
        """Move the bar of a file, made when its first byte comes."""
        with self._lock:
            if path not in self._tasks:
                self._tasks[path] = self._progress.add_task(_short(path), total=size)
            self._progress.update(self._tasks[path], completed=done, total=size)

    def turned(self, path: str, to: str) -> None:
        """Say what is done with a file whose bar is shown."""
        with self._lock:
            if path in self._tasks:
                self._progress.update(self._tasks[path], description=f"{_short(path)} ({to})")

    def ended(self, path: str) -> None:
        """Take the bar of a file away."""
        with self._lock:
            if path in self._tasks:
                self._progress.remove_task(self._tasks.pop(path))

    def waits(self, path: str, reason: str) -> None:
        """Say what a file waits for."""
        self._progress.console.print(f"{path}: {reason}", style="dim", soft_wrap=True)


def _short(path: str) -> str:
    return path.rsplit("/", 1)[-1]
