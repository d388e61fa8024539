"""Studies as tables and as text, for tests of what compare and report show."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from tests.trial_folders import experiment_json, write_study

from hybridbatch.report.collect import StudyTable, collect
from hybridbatch.report.tables import comparison
from hybridbatch.spec.trial import TrialResult


def table_of(tmp_path: Path, results: list[TrialResult], *, bias_too: bool = True) -> StudyTable:
    return collect(write_study(tmp_path / "quickstart", results, experiment_json(bias_too=bias_too)))


def printed(table: StudyTable, width: int = 110) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    for one in comparison(table):
        console.print(one, crop=False)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()
