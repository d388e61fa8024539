"""Commands about studies: plan, run, resume, status, report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import about, data_location, home_folder
from hybridbatch.cli.output import console, print_json
from hybridbatch.foundation.errors import UserError


@app.command(rich_help_panel="Studies")
def plan(
    file: options.File,
    home: options.Home = None,
    data: options.DataRoot = None,
    trials: options.Trials = None,
    as_json: options.Json = False,
) -> None:
    """Show what would run: data, trials, batches, resources. Starts nothing."""
    from hybridbatch.search.opening import would_take
    from hybridbatch.search.preview import preview
    from hybridbatch.search.session import ledger_url
    from hybridbatch.spec.reader import read_experiment
    from hybridbatch.terminal.plan_view import print_plan

    folder = home_folder(home)
    experiment = read_experiment(file)
    with about(file):
        taken = would_take(experiment, ledger_url(experiment, folder), folder.study(experiment.name).read_taken())
        planned = preview(experiment, data_location(data, folder, experiment.name), trials, taken)
    if as_json:
        print_json(asdict(planned))
    else:
        print_plan(planned, experiment, console())


@app.command(rich_help_panel="Studies")
def run(
    file: options.File,
    home: options.Home = None,
    data: options.DataRoot = None,
    trials: options.Trials = None,
    local: options.Local = False,
    address: options.Address = None,
    no_token: options.NoToken = False,
    verbose: options.Verbose = False,
) -> None:
    """Run the study of an experiment file, or go on with it."""
    from hybridbatch.spec.reader import read_experiment
    from hybridbatch.terminal.study_run import run_study

    folder = home_folder(home)
    experiment = read_experiment(file)
    root = data_location(data, folder, experiment.name).root
    with about(file):
        code = run_study(
            experiment, folder, root, trials=trials, local=local, address=address, no_token=no_token, verbose=verbose
        )
    raise typer.Exit(code)


@app.command(rich_help_panel="Studies")
def resume(
    study: options.Study,
    home: options.Home = None,
    data: options.DataRoot = None,
    local: options.Local = False,
    address: options.Address = None,
    no_token: options.NoToken = False,
    verbose: options.Verbose = False,
) -> None:
    """Go on with a study after whatever ended it: the same trials, from their checkpoints."""
    from hybridbatch.search.session import load_study
    from hybridbatch.terminal.study_run import run_study

    folder = home_folder(home)
    experiment = load_study(folder, study)
    root = data_location(data, folder, study).root
    with about(folder.study(study).experiment):
        code = run_study(experiment, folder, root, local=local, address=address, no_token=no_token, verbose=verbose)
    raise typer.Exit(code)


@app.command(rich_help_panel="Studies")
def extend(
    study: options.Study,
    trials: Annotated[Optional[int], typer.Option("--trials", min=0, help="Searched trials in all.")] = None,
    file: Annotated[
        Optional[Path],
        typer.Option(
            "--file",
            help="The experiment file with another search.trials, budget, stop, replicates or space, all else equal.",
        ),
    ] = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Plan more trials for a study, a larger budget, or another space for trials to come; `resume` runs them."""
    from hybridbatch.search.extension import extend_study
    from hybridbatch.spec.reader import read_experiment
    from hybridbatch.terminal.early_end import limits_text
    from hybridbatch.terminal.next_step import resume_command

    if trials is None and file is None:
        raise UserError("nothing to extend by", path="--trials, --file", allowed="one of the two, or both")
    folder = home_folder(home)
    changed = read_experiment(file) if file else None
    with about(file or folder.study(study).experiment):
        done = extend_study(folder, study, trials, changed)
    if as_json:
        print_json(asdict(done))
        return
    console().print(f"{study}: {done.after} trials planned, {done.before} before", soft_wrap=True)
    if done.paths:
        console().print(f"trials to come are drawn anew for {', '.join(done.paths)}", soft_wrap=True)
    if done.budget:
        console().print(f"budget: {limits_text(done.budget)}", soft_wrap=True)
    console().print(f"go on with: {resume_command(folder, study)}", soft_wrap=True)


@app.command(rich_help_panel="Studies")
def status(
    study: Annotated[
        Optional[str], typer.Argument(help="Name of a study in the home folder; all of them when left out.")
    ] = None,
    home: options.Home = None,
    address: Annotated[
        Optional[str],
        typer.Option("--address", help="A cluster's dashboard: list the jobs there instead, of all studies or of one."),
    ] = None,
    no_token: options.NoToken = False,
    as_json: options.Json = False,
) -> None:
    """Show how many trials are complete, pruned, failed, running and waiting, and the best one."""
    if address is not None:
        from hybridbatch.terminal.job_view import job_states, print_jobs

        jobs = job_states(address, study, no_token=no_token)
        print_json(jobs) if as_json else print_jobs(jobs, address, console())
        return
    from hybridbatch.terminal.status_view import all_states, print_states, print_status, study_status

    folder = home_folder(home)
    if study is None:
        states = all_states(folder)
        print_json(states) if as_json else print_states(states, folder, console())
        return
    state = study_status(folder, study)
    print_json(state) if as_json else print_status(state, console())


@app.command(rich_help_panel="Studies")
def report(
    study: options.Study,
    home: options.Home = None,
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="The HTML file to write.")] = None,
) -> None:
    """Write a self-contained HTML page about a study."""
    from hybridbatch.report.collect import collect
    from hybridbatch.report.effects import study_effects
    from hybridbatch.report.page import write_page
    from hybridbatch.search.session import load_study

    folder = home_folder(home)
    load_study(folder, study)
    path = output or folder.study(study).path / "report.html"
    table = collect(folder.study(study))
    typer.echo(write_page(table, path, effects=study_effects(folder.study(study), table)))
