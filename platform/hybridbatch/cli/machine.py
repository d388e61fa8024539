"""Commands about this machine: ui, doctor, schema."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import data_location, home_folder
from hybridbatch.cli.output import console, print_json
from hybridbatch.foundation.errors import UserError


@app.command(rich_help_panel="This machine")
def ui(
    home: options.Home = None,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's page.")] = 5000,
    optuna_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Optuna's page.")] = 8080,
) -> None:
    """Open MLflow's and Optuna's own pages over the embedded stores, on this machine only."""
    from hybridbatch.terminal.servers import serve

    raise typer.Exit(serve(home_folder(home), mlflow_port, optuna_port, console()))


@app.command(rich_help_panel="This machine")
def doctor(
    study: Annotated[
        Optional[str],
        typer.Argument(help="A study: look at its ledger, folders and MLflow runs. Left out: at this machine."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; nothing that was measured is lost.")
    ] = False,
    home: options.Home = None,
    data: options.DataRoot = None,
    ledger: Annotated[
        Optional[str],
        typer.Option(envvar="HYBRIDBATCH_LEDGER", help="URL of an Optuna storage to look at."),
    ] = None,  # the variable: everybody on a machine sees command lines, with the passwords on them
    tracking: Annotated[
        Optional[str], typer.Option(envvar="HYBRIDBATCH_TRACKING", help="URL of an MLflow store to look at.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say what works here, or what is wrong with a study, and how to mend it."""
    folder = home_folder(home)
    if study is not None:
        from hybridbatch.terminal.study_doctor import run_study_doctor

        raise typer.Exit(run_study_doctor(folder, study, repair, as_json))
    if repair:
        raise UserError("only a study can be repaired", path="--repair", allowed="hybridbatch doctor STUDY --repair")
    from hybridbatch.terminal.doctor_view import run_doctor

    raise typer.Exit(run_doctor(folder, data_location(data, folder).root, ledger, tracking, as_json))


@app.command(rich_help_panel="This machine")
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="As a reference for people.")] = False,
) -> None:
    """Print the JSON Schema of experiment files, for editors."""
    if markdown:
        from hybridbatch.spec.reference import experiment_reference

        typer.echo(experiment_reference(), nl=False)
    else:
        from hybridbatch.spec.schema import experiment_schema

        print_json(experiment_schema())
