"""Running a study from the terminal: the live table, a clean stop, and what to do next."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from hybridbatch.report.collect import collect
from hybridbatch.report.tables import comparison
from hybridbatch.search.session import StudySession
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.live_table import LiveTable
from hybridbatch.terminal.stopping import stopping_cleanly

INTERRUPTED = 130  # what a shell reports of a program ended by Ctrl-C


def run_study(
    experiment: Experiment,
    home: HomeFolder,
    data_root: Path,
    *,
    trials: int | None = None,
    local: bool = False,
    address: str | None = None,
    verbose: bool = False,
) -> int:
    """Run a study until no trial is left, or until Ctrl-C; return the exit code.

    Args:
        experiment: The experiment.
        home: The home folder.
        data_root: Folder that relative paths of data sets start from.
        trials: Searched trials, in place of ``search.trials``.
        local: In this process, without Ray.
        address: Address of a Ray cluster.
        verbose: Leave the chatter of libraries on the terminal.
    """
    log = home.logs / f"{experiment.name}.log"
    with quiet_terminal(log, verbose) as console, stopping_cleanly():
        console.print(f"[bold]{experiment.name}[/]  {experiment.question}", highlight=False)
        table = LiveTable(experiment, console)
        with console.status("opening the stores"):
            session = StudySession(experiment, home, data_root, trials, table)
        interrupted = False
        try:
            table.count(session.counts())
            with table:
                _drive(session, local, address)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            with console.status("writing what is finished to MLflow"):
                projection = session.close()
        for problem in projection.problems:
            console.print(f"{problem}; `hybridbatch resume {experiment.name}` writes it later", style="yellow")
        return _closing_words(session, home, console, log, interrupted)


def _drive(session: StudySession, local: bool, address: str | None) -> None:
    if local:
        from hybridbatch.search.local import run_local

        run_local(session)
    else:
        from hybridbatch.cluster.driver import run_on_ray

        run_on_ray(session, address)


def _closing_words(session: StudySession, home: HomeFolder, console: Console, log: Path, interrupted: bool) -> int:
    name, option = session.experiment.name, "" if home == HomeFolder.choose(None) else f" --home {home.path}"
    counts = session.counts()
    finished = counts.complete + counts.pruned + counts.failed
    if finished:
        for part in comparison(collect(session.folder)):
            console.print(part)
            console.print()
    states = ", ".join(f"{count} {state}" for state, count in vars(counts).items() if count)
    console.print(f"trials: {states}  ·  log: {log}", highlight=False)
    if interrupted or counts.waiting:
        why = "stopped" if interrupted else "not finished"
        console.print(f"{why}; nothing is lost. Go on with: hybridbatch resume {name}{option}", style="yellow")
    else:
        console.print(f"next: hybridbatch report {name}{option}  ·  hybridbatch ui{option}", highlight=False)
    return INTERRUPTED if interrupted else 0
