"""The command line: parsing, calling, printing. Each module holds the commands about one thing."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from hybridbatch import __version__
from hybridbatch.cli.application import app
from hybridbatch.foundation.errors import HybridBatchError, readable_disk_errors
from hybridbatch.foundation.passwords import hide_passwords

for _commands in (
    "studies",
    "jobs",
    "comparison",
    "models",
    "search",
    "robustness",
    "probe",
    "parc",
    "data",
    "machine",
):  # they join the application when imported, in the order of the help
    importlib.import_module(f"hybridbatch.cli.{_commands}")


def _version(shown: bool) -> None:
    if shown:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; a user's mistake ends it with a message and exit code 2, never with a traceback."""
    try:
        with readable_disk_errors(Path.cwd()):
            app()
    except HybridBatchError as error:
        typer.echo(error.render(), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except Exception:  # a mistake of ours: the traceback may quote a store's URL
        typer.echo(hide_passwords(traceback.format_exc()), err=True, nl=False)
        sys.exit(1)
