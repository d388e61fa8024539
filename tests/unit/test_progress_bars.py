"""Bars and spinners show themselves, and nothing of what libraries print meanwhile."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from rich.console import Console

from hybridbatch.terminal.progress_bars import progress_bars, working


@pytest.mark.parametrize(
    "shown", [progress_bars, lambda console: working(console, "opening the stores")], ids=["bars", "spinner"]
)
def test_chatter_does_not_come_back_to_the_terminal(
    shown: Callable[[Console], AbstractContextManager[object]], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = io.StringIO()
    with shown(Console(file=terminal, force_terminal=True)):
        print("loading weights")
        print("some are missing", file=sys.stderr)

    assert capsys.readouterr() == ("loading weights\n", "some are missing\n")
    assert "weights" not in terminal.getvalue()
    assert "missing" not in terminal.getvalue()


def test_a_spinner_turns_on_a_terminal_alone() -> None:
    for is_terminal in (True, False):
        terminal = io.StringIO()
        with working(Console(file=terminal, force_terminal=is_terminal), "opening the stores"):
            pass

        assert ("opening the stores" in terminal.getvalue()) is is_terminal
