"""The terminal, as every command writes to it: what stands in brackets is text, and nothing is coloured by itself."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.text import Text


def plain_console(*, file: IO[str] | None = None, stderr: bool = False) -> Console:
    """Return a console that takes no text for markup: settings, names and reasons may have brackets.

    Args:
        file: Where it writes; by default standard output.
        stderr: Whether to write to standard error.
    """
    return Console(file=file, stderr=stderr, markup=False, highlight=False)


def headline(name: str, more: str = "", *, before: str = "") -> Text:
    """Return a line that begins with a name in bold."""
    return Text.assemble(before, (name, "bold"), f"  {more}" if more else "")
