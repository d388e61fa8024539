"""Commands about clusters: submit, follow, stop, stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import about
from hybridbatch.cli.output import console

JobName = Annotated[str, typer.Argument(metavar="JOB", help="Name of a job, or of a study: its newest job.")]


@app.command(rich_help_panel="Clusters")
def submit(
    file: options.File,
    address: options.Dashboard,
    home: Annotated[
        Optional[Path],
        typer.Option(
            "--home", help="Home folder as the cluster sees it. Left out: that of this machine, on a cluster on it."
        ),
    ] = None,
    data: Annotated[
        Optional[Path],
        typer.Option("--data", help="Folder that relative paths of data start from, as the cluster sees it."),
    ] = None,
    trials: options.Trials = None,
    detach: Annotated[bool, typer.Option("--detach", help="Submit, and do not follow.")] = False,
    no_token: options.NoToken = False,
    verbose: options.Verbose = False,
) -> None:
    """Run the study of an experiment file on a cluster, or go on with it there, and show what it prints."""
    from hybridbatch.search.planned import planned_trials
    from hybridbatch.spec.reader import read_experiment
    from hybridbatch.terminal.job_run import Submission, submit_study

    experiment = read_experiment(file)
    with about(file):
        planned_trials(experiment, trials)
    asked = Submission(experiment, file, home, data, trials, verbose)
    raise typer.Exit(submit_study(asked, address, console(), detach=detach, no_token=no_token))


@app.command(rich_help_panel="Clusters")
def follow(job: JobName, address: options.Dashboard, no_token: options.NoToken = False) -> None:
    """Show what a job prints, from its beginning until it ends; Ctrl-C leaves it running."""
    from hybridbatch.terminal.job_run import follow_job

    raise typer.Exit(follow_job(job, address, console(), no_token=no_token))


@app.command(rich_help_panel="Clusters")
def stop(job: JobName, address: options.Dashboard, no_token: options.NoToken = False) -> None:
    """Stop a job: its trials are given back, and `submit` goes on with them."""
    from hybridbatch.terminal.job_run import stop_job

    raise typer.Exit(stop_job(job, address, console(), no_token=no_token))


@app.command(rich_help_panel="Clusters")
def stores(
    folder: Annotated[Path, typer.Option("--folder", help="Folder of the stores; made when it is not there.")],
    host: Annotated[
        str, typer.Option("--host", help="Address of this machine to listen at, for other machines to reach.")
    ] = "127.0.0.1",
    postgresql_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of PostgreSQL.")] = 5432,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's server.")] = 5000,
) -> None:
    """Serve PostgreSQL and MLflow from one folder until Ctrl-C: stores that several drivers and machines share."""
    from hybridbatch.terminal.store_servers import StoreFolder, serve_stores

    served = StoreFolder(folder.expanduser().absolute(), host, postgresql_port, mlflow_port)
    raise typer.Exit(serve_stores(served, console()))
