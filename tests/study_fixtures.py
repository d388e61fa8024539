"""Fixtures for tests that run whole studies: data, and home folders whose empty stores were made once."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import CommandLine
from tests.small_study import experiment, write_data

from hybridbatch.search.storage import close_storage, open_storage
from hybridbatch.spec.folders import HomeFolder, StudyFolder, TrialFolder
from hybridbatch.spec.trial import Rung, TrialResult, TrialSpec
from hybridbatch.tracking.store import TrackingStore

# A baseline, one that cannot be trained (scores over 1e-300 are infinite), and searched trials, some of them pruned.
VARIED = {
    "search.baselines": {"mono": {"batches.mix.crosslingual": 0.0}, "broken": {"loss.temperature": 1e-300}},
    "search.trials": 4,
    "search.pruner": {"kind": "asha", "minimum_steps": 2, "reduction": 2},
}


@dataclass
class Watcher:
    """Notes what happens in a study, and does what a test asks for at the start of a trial or at a rung."""

    events: list[tuple[str, int]] = field(default_factory=list)
    at_start: Callable[[TrialSpec, TrialFolder], None] = lambda spec, folder: None
    at_rung: Callable[[int, Rung], None] = lambda number, rung: None

    def started(self, spec: TrialSpec, folder: TrialFolder) -> None:
        self.events.append(("started", spec.number))
        self.at_start(spec, folder)

    def reported(self, number: int, rung: Rung, goes_on: bool) -> None:
        self.events.append(("reported", number))
        self.at_rung(number, rung)

    def finished(self, result: TrialResult) -> None:
        self.events.append(("finished", result.number))

    def numbers(self, event: str) -> list[int]:
        return [number for name, number in self.events if name == event]


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small data files."""
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder whose stores have their tables: making MLflow's takes seconds."""
    home = HomeFolder(tmp_path_factory.mktemp("template") / "home")
    close_storage(open_storage(home.ledger_url))
    TrackingStore(home.tracking_url, home.artifacts).connect().search_experiments()
    return home.path


@pytest.fixture
def home(empty_home: Path, tmp_path: Path) -> HomeFolder:
    """A home folder of one's own."""
    shutil.copytree(empty_home, tmp_path / "home")
    return HomeFolder(tmp_path / "home")


@pytest.fixture
def twin_home(empty_home: Path, tmp_path: Path) -> HomeFolder:
    """Another home folder, for the study that nothing happens to."""
    shutil.copytree(empty_home, tmp_path / "twin_home")
    return HomeFolder(tmp_path / "twin_home")


@pytest.fixture(scope="session")
def finished(empty_home: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> HomeFolder:
    """The home folder of a study that ran to its end: complete, failed and pruned trials. Not to be written to."""
    from hybridbatch.search.local import run_local
    from hybridbatch.search.session import StudySession

    home = HomeFolder(tmp_path_factory.mktemp("finished") / "home")
    shutil.copytree(empty_home, home.path)
    session = StudySession(experiment(VARIED), home, small_data, None, Watcher())
    run_local(session)
    assert session.counts().waiting == session.counts().running == 0
    assert session.close().problems == ()
    return home


@pytest.fixture
def command_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, small_data: Path, tmp_path: Path
) -> CommandLine:
    """The command line, in an empty folder, with the small data as its data folder."""
    monkeypatch.setenv("HYBRIDBATCH_DATA", str(small_data))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("HYBRIDBATCH_HOME", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, "raiseExceptions", False)  # libraries hold on to the standard error of earlier tests
    return CommandLine(capfd, monkeypatch)


def figures(folder: StudyFolder) -> dict[int, dict[str, Any]]:
    """Return all that must not depend on where, when and in which order the trials of a study ran."""
    found = {}
    for one in folder.results():
        found[one.number] = {
            **one.model_dump(
                include={"params", "baseline", "state", "reason", "values", "steps", "best_step", "mixture"}
            ),
            "rungs": [(rung.step, rung.train_loss, rung.summary) for rung in one.rungs],
            "report": {name: of_set.model_dump(exclude={"seconds"}) for name, of_set in one.report.items()},
        }
    return found


def content(folder: Path, pattern: str = "**/*") -> dict[str, tuple[bytes, int]]:
    """Return content and time of last change of every file below ``folder``."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
