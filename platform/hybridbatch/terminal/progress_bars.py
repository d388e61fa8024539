"""Progress bars and spinners, as every command draws them.

What libraries print meanwhile goes where standard output leads, mostly a log: rich would bring it back above the bars.
"""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.spinner import Spinner


def progress_bars(console: Console, *columns: ProgressColumn) -> Progress:
    """Return bars that say what is done, how much of it and how long the rest takes.

    They are gone in the end, and never drawn where no terminal is.

    Args:
        console: Where they are drawn.
        columns: What stands beside the description, in place of bar, numbers and time.
    """
    return Progress(
        TextColumn("{task.description}", markup=False),
        *(columns or (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    )


def working(console: Console, what: str) -> Live:
    """Return a spinner that turns beside ``what`` as long as its context lasts; nothing where no terminal is."""
    return Live(
        Spinner("dots", text=what, style="status.spinner"),
        console=console,
        refresh_per_second=12.5,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
