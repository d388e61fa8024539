"""The live table of a study: every trial that runs or has just finished, with how far it is and how good."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hybridbatch.report.naming import duration, measure_name, measure_text, number, short_paths
from hybridbatch.search.assignment import Counts
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import TrialFolder
from hybridbatch.spec.trial import Rung, TrialResult, TrialSpec
from hybridbatch.training.progress import Progress, read_progress

_STYLES = {"complete": "green", "pruned": "yellow", "failed": "red", "stopped": "dim"}
_RECENT = 12  # finished trials that stay in sight
_WIDE = 90  # columns of the terminal from which on there is room for everything


@dataclass
class _Row:
    number: int
    name: str
    folder: TrialFolder | None
    steps: int
    state: str = "starting"
    rung: Rung | None = None
    progress: Progress | None = None
    since: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    reason: str | None = None


class LiveTable:
    """Shows a study while it runs: a live table on a terminal, one line per event elsewhere.

    Args:
        experiment: The experiment.
        console: Where to show it.
    """

    def __init__(self, experiment: Experiment, console: Console) -> None:
        self.experiment, self.console = experiment, console
        self._rows: dict[int, _Row] = {}
        self._names = short_paths(experiment.search.space)
        self._counts: Counts | None = None
        self._note = ""
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        metric = experiment.search.objectives[0].metric
        bias = "rank_distance"
        self._measures = [metric] if metric == bias else [metric, bias]
        self._live: Live | None = None
        if console.is_terminal:
            # What libraries print belongs to the log, which standard output leads to by now: not above the table.
            self._live = Live(
                console=console,
                get_renderable=self._render,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> LiveTable:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._live:
            self._live.stop()
            if kind is not None and kind is not KeyboardInterrupt:  # else the comparison follows
                self.console.print(self._table(list(self._rows.values())))

    def count(self, counts: Counts) -> None:
        """Take note of the trials by state."""
        self._counts = counts

    def note(self, text: str) -> None:
        """Show what is waited for, until the first trial starts."""
        self._note = text
        if self._live is None:
            self.console.print(text, soft_wrap=True)

    def started(self, spec: TrialSpec, folder: TrialFolder) -> None:
        """Show a trial that starts or goes on."""
        name = self._name(spec.baseline, spec.params, spec.experiment.training.seed, spec.replicate_of)
        with self._lock:
            self._rows[spec.number] = _Row(spec.number, name, folder, spec.experiment.training.steps)
        self._say(spec.number, f"starts: {name}")

    def reported(self, number_: int, rung: Rung, goes_on: bool) -> None:
        """Show a rung."""
        with self._lock:
            row = self._rows.get(number_)
            if row:
                row.rung = rung
        measured = ", ".join(
            f"{measure_name(one)} {measure_text(one, rung.summary.get(one))}" for one in self._measures
        )
        self._say(number_, f"step {rung.step}: {measured}" + ("" if goes_on else ", not among the best: pruned"))

    def finished(self, result: TrialResult) -> None:
        """Show that a trial is finished."""
        name = self._name(result.baseline, result.params, result.seed, result.replicate_of)
        with self._lock:
            row = self._rows.setdefault(result.number, _Row(result.number, name, None, result.steps))
            row.state, row.folder, row.reason = result.state, None, result.reason
            row.seconds = result.seconds["total"]
            row.rung = result.rungs[-1] if result.rungs else row.rung
        first = (result.reason or "").splitlines()[:1]
        self._say(
            result.number,
            f"{result.state} after {duration(result.seconds['total'])}" + "".join(f": {r}" for r in first),
        )

    def _say(self, number_: int, text: str) -> None:
        if self._live is None:
            self.console.print(f"trial {number_:>3}  {text}", soft_wrap=True)

    def _name(self, baseline: str | None, params: dict[str, Any], seed: int, replicate_of: int | None) -> str:
        if replicate_of is not None:
            return f"trial {replicate_of} again · seed {seed}"
        if baseline:
            return f"{baseline} · seed {seed}"
        return (
            "  ".join(f"{self._names.get(path, path)}={number(value)}" for path, value in params.items())
            or "as written"
        )

    def _render(self) -> RenderableType:
        with self._lock:
            rows = list(self._rows.values())
        for row in rows:
            if row.folder is not None:
                progress = read_progress(row.folder.progress)
                if progress is not None:
                    row.progress, row.state = progress, progress.phase
        running = [row for row in rows if row.folder is not None]
        done = [row for row in rows if row.folder is None][-_RECENT:]
        note = [] if rows or not self._note else [Text(self._note, style="yellow")]
        hint = Text("Ctrl-C stops; nothing is lost", style="dim")
        return Group(self._headline(rows), *note, self._table(done + running), hint)

    def _headline(self, rows: list[_Row]) -> Text:
        counts = self._counts
        total = sum(vars(counts).values()) if counts else 0
        before = (counts.complete + counts.pruned + counts.failed) if counts else 0
        done = before + sum(row.folder is None for row in rows)
        elapsed = duration(time.monotonic() - self._begun)
        return Text.assemble((self.experiment.name, "bold"), f"  {done} of {total} trials finished  ·  {elapsed}")

    def _table(self, rows: list[_Row]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("trial", justify="right", no_wrap=True)
        table.add_column("settings")  # the one that gives way where the terminal is narrow
        for heading in ("state", "step"):
            table.add_column(heading, no_wrap=True)
        figures = ["pairs/s"] if self._wide else []
        for heading in (*figures, *(measure_name(one).replace(" ", "\n", 1) for one in self._measures), "time"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in sorted(rows, key=lambda one: one.number):
            table.add_row(*self._cells(row))
        return table

    @property
    def _wide(self) -> bool:
        return self.console.width >= _WIDE

    def _cells(self, row: _Row) -> list[RenderableType]:
        step = max(row.rung.step if row.rung else 0, row.progress.step if row.progress else 0)
        done, steps = step, row.steps
        if row.progress and row.progress.phase == "adapting":  # these are steps of another training
            done, steps = row.progress.step, row.progress.steps
        bar: RenderableType = Text(f"{step}", style="dim")
        if row.folder is not None:
            bar = ProgressBar(total=steps, completed=done, width=18 if self._wide else 10)
        rate = row.progress.pairs_per_second if row.progress and row.folder is not None else None
        measures = [measure_text(one, row.rung.summary.get(one) if row.rung else None) for one in self._measures]
        if row.seconds is not None:
            clock = duration(row.seconds)
        elif rate and 0 < step < row.steps:
            clock = f"{duration((row.steps - step) * self.experiment.batches.size / rate)} left"
        else:
            clock = ""
        state = Text(row.state, style=_STYLES.get(row.state, "cyan"))
        pace = [f"{rate:.0f}" if rate else ""] if self._wide else []
        return [str(row.number), row.name, state, bar, *pace, *measures, clock]
