"""Ledgers on real SQLite stores, and the settings that their tests share."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest

from hybridbatch.search.assignment import Assignment
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.storage import close_storage, open_storage

TEMPERATURE, RATE = "loss.temperature", "training.learning_rate"
TWO_PARAMS = {TEMPERATURE: {"log_uniform": [0.02, 0.2]}, RATE: {"log_uniform": [1e-4, 1e-2]}}
TPE = {"kind": "tpe", "startup_trials": 3}
GENETIC = {"kind": "nsga2", "population": 3}
ASHA = {"kind": "asha", "minimum_steps": 2, "reduction": 2}
TWO_OBJECTIVES = [{"metric": "map_multi"}, {"metric": "rank_distance", "direction": "minimize"}]
NO_BASELINES: dict[str, Any] = {"search.baselines": {}}


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with its tables and no study: making the tables takes a second."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    close_storage(open_storage(f"sqlite:///{file}"))
    return file


@pytest.fixture
def url(empty_ledger: Path, tmp_path: Path) -> str:
    shutil.copyfile(empty_ledger, tmp_path / "ledger.db")
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def twin(empty_ledger: Path, tmp_path: Path) -> str:
    """Another ledger, for the study that nothing happens to."""
    shutil.copyfile(empty_ledger, tmp_path / "twin.db")
    return f"sqlite:///{tmp_path / 'twin.db'}"


def trials_of(url: str, name: str = "small") -> list[optuna.trial.FrozenTrial]:
    """Return what Optuna itself says is in the store."""
    storage = open_storage(url) if url.startswith("journal:") else url  # which Optuna knows by no URL
    return optuna.load_study(study_name=name, storage=storage).get_trials()


def take(ledger: Ledger) -> Assignment:
    given = ledger.next_assignment()
    assert given is not None
    return given


@pytest.fixture(params=["sqlite", "journal", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger on each kind of store, for what depends on how the store locks."""
    if request.param == "journal":
        return f"journal://{tmp_path / 'ledger.log'}"
    return str(request.getfixturevalue("url" if request.param == "sqlite" else "postgresql_url"))
