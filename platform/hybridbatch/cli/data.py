"""Commands about data sets: data list, data show, data stats, data fetch."""

from __future__ import annotations

from typing import Annotated

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import data_location, home_folder, named_source
from hybridbatch.cli.output import console, print_json

data_app = typer.Typer(help="List, describe, count and download data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data", rich_help_panel="Data")

Name = Annotated[str, typer.Argument(help="Registered name, such as xquad-r; `hybridbatch data list` lists them.")]


@data_app.command("list")
def list_all(home: options.Home = None, data: options.DataRoot = None, as_json: options.Json = False) -> None:
    """List the data sets: what, languages, licence, whether their files are there."""
    from hybridbatch.terminal.data_catalogue import catalogue
    from hybridbatch.terminal.data_view import print_catalogue

    location = data_location(data, home_folder(home))
    entries = catalogue(location)
    print_json(entries) if as_json else print_catalogue(entries, location.root, console())


@data_app.command()
def show(
    name: Name,
    setting: options.Setting = None,
    home: options.Home = None,
    data: options.DataRoot = None,
    as_json: options.Json = False,
) -> None:
    """Show a data set: source, licence, citation, settings, files, and what to run."""
    from hybridbatch.terminal.data_catalogue import declaration
    from hybridbatch.terminal.data_view import print_declaration

    location = data_location(data, home_folder(home))
    source = named_source(name, setting) if setting else None
    found = declaration(name, source, location)
    print_json(found) if as_json else print_declaration(found, console())


@data_app.command()
def stats(
    name: Name,
    setting: options.Setting = None,
    home: options.Home = None,
    data: options.DataRoot = None,
    as_json: options.Json = False,
) -> None:
    """Load a data set and count what is in it, by language."""
    from hybridbatch.datasets.data_statistics import data_statistics
    from hybridbatch.terminal.data_view import print_statistics

    location = data_location(data, home_folder(home))
    found = data_statistics(named_source(name, setting), location)
    print_json(found) if as_json else print_statistics(found, console())


@data_app.command()
def fetch(
    name: Name,
    setting: options.Setting = None,
    force: Annotated[
        bool, typer.Option("--force", help="Download files again that are there, and replace them.")
    ] = False,
    home: options.Home = None,
    data: options.DataRoot = None,
    as_json: options.Json = False,
) -> None:
    """Download the files of a data set: resumed where it stopped, checked, unpacked."""
    from hybridbatch.terminal.data_fetch import fetched_json, print_fetched, run_fetch

    location = data_location(data, home_folder(home))
    source = named_source(name, setting)
    found = run_fetch(source, location, force)
    print_json(fetched_json(found)) if as_json else print_fetched(source, found, location, console())
