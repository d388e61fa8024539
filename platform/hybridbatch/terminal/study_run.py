"""Running a study from the terminal: the live table, a clean stop, and what to do next."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from hybridbatch.report.collect import collect
from hybridbatch.report.tables import comparison
from hybridbatch.report.taken_text import taken_lines
from hybridbatch.search.checks import check_study, left_out
from hybridbatch.search.local import local_device, run_local
from hybridbatch.search.opening import would_take
from hybridbatch.search.session import StudySession, ledger_url
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.sources import DataLocation
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.consoles import headline
from hybridbatch.terminal.early_end import early_end, how_to_go_on, never_begin, spent_text
from hybridbatch.terminal.live_table import LiveTable
from hybridbatch.terminal.next_step import command, resume_command
from hybridbatch.terminal.plan_view import print_left_out
from hybridbatch.terminal.progress_bars import working
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
    no_token: bool = False,
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
        no_token: Show no token to the cluster.
        verbose: Leave the chatter of libraries on the terminal.
    """
    log = home.logs / f"{experiment.name}.log"
    with quiet_terminal(log, verbose) as console, stopping_cleanly():
        console.print(headline(experiment.name, experiment.question))
        table = LiveTable(experiment, console)
        device = local_device(experiment.resources) if local else None
        new = not home.study(experiment.name).experiment.exists()
        if new:  # a mistake found here leaves nothing behind: the file can be mended under the same name
            would_take(experiment, ledger_url(experiment, home), home.study(experiment.name).read_taken())
            _check(experiment, DataLocation(data_root, home.cache), trials, console)
        with working(console, "opening the stores"):
            session = StudySession(experiment, home, data_root, trials, table)
        for line in taken_lines(session.ledger.taken.entries()) if new else ():
            _print(console, line)
        interrupted = False
        try:
            counts = session.counts()
            if not new and counts.waiting:
                _check(session.experiment, session.location, None, console)
            if new or counts.waiting:
                session.folder.write_data_root(None if data_root == home.data else data_root)
            table.count(counts)
            with table:
                _drive(session, device, address, no_token, table)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            with working(console, "writing what is finished to MLflow"):
                projection = session.close()
        resume = resume_command(home, experiment.name, local=local, address=address, no_token=no_token)
        for problem in projection.problems:
            _print(console, f"{problem}; `{resume}` writes it later", style="yellow")
        return _closing_words(session, console, log, interrupted, resume)


def _check(experiment: Experiment, location: DataLocation, trials: int | None, console: Console) -> None:
    with working(console, "looking at the data and the settings"):
        checked = check_study(experiment, location, trials)
    print_left_out(left_out(checked), console)


def _drive(session: StudySession, device: str | None, address: str | None, no_token: bool, table: LiveTable) -> None:
    if device is not None:
        run_local(session, device)
    else:
        from hybridbatch.cluster.driver import run_on_ray

        run_on_ray(session, address, no_token=no_token, tell=table.note)


def _print(console: Console, text: str, style: str | None = None) -> None:
    """Print a line as it is: a command that is cut in two cannot be pasted."""
    console.print(text, style=style, soft_wrap=True)


def _closing_words(session: StudySession, console: Console, log: Path, interrupted: bool, resume: str) -> int:
    counts = session.counts()
    finished = counts.complete + counts.pruned + counts.failed
    if finished:
        for part in comparison(collect(session.folder)):
            console.print(part, crop=False)  # on a very narrow terminal lines are broken, never cut
            console.print()
    states = ", ".join(f"{count} {state}" for state, count in vars(counts).items() if count)
    _print(console, f"trials: {states}  ·  log: {log}")
    end = early_end(session.ledger)
    if spent := spent_text(end):
        _print(console, spent)
    if held_back := how_to_go_on(end, session.home, session.experiment.name, resume):
        _print(console, held_back, style="yellow")
    if interrupted or counts.waiting > never_begin(end):
        why = "stopped" if interrupted else "not finished"
        _print(console, f"{why}; nothing is lost. Go on with: {resume}", style="yellow")
    else:
        report, pages = command(session.home, "report", session.experiment.name), command(session.home, "ui")
        _print(console, f"next: {report}  ·  {pages}")
    return INTERRUPTED if interrupted else 0
