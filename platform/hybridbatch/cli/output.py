"""How commands print what they found: on the terminal, as JSON, as CSV; and the command that finds it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

Found = TypeVar("Found")
OF_THIS_MACHINE = ("home", "data", "output", "scores", "predictions", "as_json", "as_csv", "verbose")
"""Parameters of commands that do not change what is measured."""


def console() -> Console:
    """Return the terminal."""
    from hybridbatch.terminal.consoles import plain_console

    return plain_console()


def json_text(value: Any) -> str:
    """Return a value as JSON, as every command writes it."""
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json_text(value))


def one_format(**asked: bool) -> str | None:
    """Return the format that is asked for, None for the terminal; asked before anything is measured.

    Args:
        asked: For each format, named as its option is, whether the option is given.

    Raises:
        UserError: If several are.
    """
    chosen = [name for name, given in asked.items() if given]
    if len(chosen) > 1:
        options = ", ".join(f"--{name}" for name in chosen)
        raise UserError("one format at a time", path=options, allowed="one of them")
    return chosen[0] if chosen else None


def print_as(
    kind: str | None,
    found: Found,
    *,
    as_json: Callable[[Found], Any],
    as_csv: Callable[[Found], str],
    on_terminal: Callable[[Found, Console], None],
) -> None:
    """Print what was found.

    Args:
        kind: ``json``, ``csv`` or None for the terminal.
        found: What was found.
        as_json: Returns what can be printed as JSON.
        as_csv: Returns CSV.
        on_terminal: Prints tables.
    """
    if kind == "json":
        print_json(as_json(found))
    elif kind == "csv":
        typer.echo(as_csv(found), nl=False)
    else:
        on_terminal(found, console())


def command_again(context: typer.Context) -> str:
    """Return the command as it was given, without options at their defaults and :data:`OF_THIS_MACHINE`."""
    words = ["hybridbatch", context.command.name or ""]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in OF_THIS_MACHINE or value in (None, False, [], parameter.default):
            continue
        values = value if isinstance(value, list | tuple) else [value]
        of_option = [] if parameter.param_type_name == "argument" else [max(parameter.opts, key=len)]
        words += [word for one in values for word in (*of_option, str(one))]
    return shlex.join(words)
