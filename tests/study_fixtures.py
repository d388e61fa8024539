"""Fixtures for tests that run whole studies: data, and home folders whose empty stores were made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.small_study import write_data

from hybridbatch.search.storage import open_storage
from hybridbatch.spec.folders import HomeFolder, StudyFolder, TrialFolder
from hybridbatch.spec.trial import Rung, TrialResult, TrialSpec
from hybridbatch.tracking.store import TrackingStore


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
    open_storage(home.ledger_url).engine.dispose()
    TrackingStore(home.tracking_url, home.artifacts).connect().search_experiments()
    return home.path


@pytest.fixture
def home(empty_home: Path, tmp_path: Path) -> HomeFolder:
    """A home folder of one's own."""
    shutil.copytree(empty_home, tmp_path / "home")
    return HomeFolder(tmp_path / "home")


def figures(folder: StudyFolder) -> dict[int, dict[str, Any]]:
    """Return all that must not depend on where, when and in which order the trials of a study ran."""
    found = {}
    for one in folder.results():
        found[one.number] = {
            **one.model_dump(include={"params", "baseline", "state", "reason", "values", "steps", "best_step", "mixture"}),
            "rungs": [(rung.step, rung.train_loss, rung.summary) for rung in one.rungs],
            "report": {name: of_set.model_dump(exclude={"seconds"}) for name, of_set in one.report.items()},
        }
    return found


def content(folder: Path, pattern: str = "**/*") -> dict[str, tuple[bytes, int]]:
    """Return content and time of last change of every file below ``folder``."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
