"""A trial of several workers: losing one is no failure of the trial, failing by itself is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.several_processes import run_workers
from tests.tiny_trial import make_workshop

from hybridbatch.foundation import atomic
from hybridbatch.spec.folders import TrialFolder

KILLED = 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data."""
    made = tmp_path_factory.mktemp("unfortunate")
    make_workshop(made)
    return made


def test_who_loses_another_worker_leaves_the_trial_unfinished(folder: Path) -> None:
    ends, said = run_workers("tests.unfortunate_worker", 2, "killed", str(folder))
    assert ends == [0, KILLED], said
    assert "gloo" in atomic.read_json(folder / "killed-0.json")
    trial = TrialFolder(folder / "killed")
    assert trial.read_result() is None
    assert [path.name for path in trial.checkpoints.iterdir()][-1:], "it goes on from there"


def test_on_notice_to_one_worker_both_save_the_same_step(folder: Path) -> None:
    (folder / "meeting-point").unlink(missing_ok=True)
    ends, said = run_workers("tests.unfortunate_worker", 2, "noticed", str(folder))
    assert ends == [KILLED, KILLED], said
    trial = TrialFolder(folder / "noticed")
    assert [path.name for path in trial.checkpoints.iterdir()][-1] == "step-00000007", "two steps after the notice"
    state = atomic.read_json(trial.checkpoints / "step-00000007" / "state.json")["state"]
    assert state["losses"]["rung"]["steps"] == 1, "steps since the rung at step 6"


def test_who_fails_by_itself_fails_the_trial_with_what_the_first_had_measured(folder: Path) -> None:
    (folder / "meeting-point").unlink(missing_ok=True)
    ends, said = run_workers("tests.unfortunate_worker", 2, "failing", str(folder))
    assert ends == [0, 0], said
    assert atomic.read_json(folder / "failing-1.json") == "trial 0 failed in one of its workers"
    result = TrialFolder(folder / "failing").read_result()
    assert result is not None
    assert (result.state, result.reason) == ("failed", "ValueError: a text of this worker alone is broken")
    kept = [rung.step for rung in result.rungs]
    assert kept in ([2], [2, 4]), "the first worker keeps the rungs: those of its last checkpoint count"
    assert sum(result.mixture.batches.values()) == result.steps == kept[-1]
    assert "gloo" in atomic.read_json(folder / "failing-0.json"), "the other is not the one that failed"


def test_parts_that_one_worker_halves_are_those_of_all_from_the_next_evaluation_on(folder: Path) -> None:
    (folder / "meeting-point").unlink(missing_ok=True)
    ends, said = run_workers("tests.tight_worker", 2, str(folder))
    assert ends == [0, 0], said
    first, second = (atomic.read_json(folder / f"tight-{rank}.json") for rank in (0, 1))
    own = second["halvings"]
    assert own[0]["step"] == 0, "the second worker meets it at its first step"
    assert first["halvings"] == [{"step": 1, "chunk_tokens": own[-1]["chunk_tokens"]}], "the first notes it for all"
    assert first["most_tokens"] == second["most_tokens"] == own[-1]["chunk_tokens"] <= 40
    assert first["losses"] == second["losses"]
