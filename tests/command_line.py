"""The command line as a person uses it: arguments in, exit code and text out."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from hybridbatch import cli


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def is_message(self, place: str | None, problem: str, *facts: str) -> None:
        """Check that this is a message that a person can act upon: ``place: problem``, one fact a line, exit code 2."""
        assert self.code == 2, self
        assert "Traceback" not in self.out + self.err, self.err
        # Libraries hold on to the standard error that pytest gave them: what they say comes before, and here alone.
        lines = self.err.rstrip().splitlines()
        first, *others = lines[max(index for index, line in enumerate(lines) if not line.startswith("  ")) :]
        assert first.startswith(f"{place}: " if place else problem), f"the message names another place: {first}"
        assert problem in first, first
        assert all(line.startswith(("  seen:    ", "  allowed: ", "  mend:    ")) for line in others), self.err
        for fact in facts:
            assert any(fact in line for line in others), f"{fact!r} is not in\n{self.err}"


class CommandLine:
    """Runs commands in this process."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd, self._monkeypatch = capfd, monkeypatch

    def __call__(self, *arguments: object) -> Outcome:
        self._monkeypatch.setattr(sys, "argv", ["hybridbatch", *map(str, arguments)])
        self._capfd.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Outcome(code, *self._capfd.readouterr())
