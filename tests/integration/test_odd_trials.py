"""Trials that cannot be as the search drew them, that are in other hands, or whose ledger is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from tests.ledger_fixtures import ASHA, NO_BASELINES, TPE, trials_of
from tests.small_study import experiment
from tests.study_fixtures import Watcher, content
from tests.tiny_trial import Rungs, make_workshop, spec_of

from hybridbatch.foundation.errors import ConflictError
from hybridbatch.search.assignment import Counts
from hybridbatch.search.attempts import ATTEMPTS
from hybridbatch.search.identity import PLANNED
from hybridbatch.search.ledger import LEASE
from hybridbatch.search.local import run_local
from hybridbatch.search.ownership import Owner, lease
from hybridbatch.search.session import StudySession
from hybridbatch.search.telling import MEASURES, REASON
from hybridbatch.search.verdicts import RUNGS, VERDICTS
from hybridbatch.spec.folders import HomeFolder, TrialFolder
from hybridbatch.spec.trial import Rung, TrialResult
from hybridbatch.tracking.store import TrackingStore, runs_by_trial
from hybridbatch.training.broken_group import BrokenGroupError
from hybridbatch.training.losses import Shard
from hybridbatch.training.trial import TrialRun, run_trial


def study(home: HomeFolder, data: Path, changes: dict[str, Any], watcher: Watcher | None = None) -> StudySession:
    return StudySession(experiment({**NO_BASELINES, **changes}), home, data, None, watcher or Watcher())


def test_values_that_do_not_go_together_fail_their_trial_and_no_other(home: HomeFolder, small_data: Path) -> None:
    space = {"backbone.width": {"integer": [16, 18]}}  # two heads: 17 cannot be split
    changes = {"backbone.heads": 2, "search.space": space, "search.sampler": {"kind": "grid"}, "search.trials": None}
    watcher = Watcher()
    session = study(home, small_data, changes, watcher)
    run_local(session)
    assert session.counts() == Counts(complete=2, pruned=0, failed=1, running=0, waiting=0)
    assert session.close().problems == ()
    assert (watcher.numbers("started"), watcher.numbers("finished")) == ([0, 2], [0, 1, 2])
    failed = session.folder.results()[1]
    assert (failed.state, failed.params) == ("failed", {"backbone.width": 17})
    assert failed.reason == "backbone: width must be a multiple of heads, but got width=17, heads=2"
    assert trials_of(home.ledger_url)[1].user_attrs[REASON] == failed.reason
    store = TrackingStore(home.tracking_url, home.artifacts)
    assert runs_by_trial(store, "small") == {f"small/{number}": 1 for number in range(3)}


def test_a_drawn_batch_that_cannot_be_filled_fails_and_one_from_the_file_stops(tmp_path: Path) -> None:
    spec, workshop = spec_of(experiment({"batches.size": 512})), make_workshop(tmp_path)
    with pytest.raises(ConflictError, match="can fill"):
        run_trial(spec, TrialFolder(tmp_path / "00000"), workshop, Rungs())
    drawn = spec.model_copy(update={"params": {"batches.size": 512}})
    result = run_trial(drawn, TrialFolder(tmp_path / "00001"), workshop, Rungs())
    assert result is not None
    assert (result.state, "batches.size 512" in str(result.reason)) == ("failed", True)


class OneError(Rungs):
    """Verdicts that raise an error at every first rung."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def report(self, step: int, rung: Rung | None) -> bool:
        raise self.error


def test_a_lost_accelerator_is_not_the_trials_fault_until_it_happens_again(tmp_path: Path) -> None:
    workshop, folder = make_workshop(tmp_path), TrialFolder(tmp_path / "00000")
    lost = OneError(torch.AcceleratorError("CUDA error: device-side assert triggered", 59))
    with pytest.raises(BrokenGroupError, match="device-side assert"):
        run_trial(spec_of(experiment()), folder, workshop, lost)
    assert folder.read_result() is None, "the trial is to be tried again, by other workers"
    with pytest.raises(BrokenGroupError):
        run_trial(spec_of(experiment()), folder, workshop, lost)
    result = folder.read_result()
    assert result is not None
    assert (result.state, "device-side assert" in str(result.reason)) == ("failed", True)
    assert sorted(path.name for path in folder.path.iterdir()) == ["curve.json", "result.json"]


def test_workers_that_lose_their_accelerators_together_have_lost_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(run: TrialRun) -> TrialResult:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered", 59)

    monkeypatch.setattr(TrialRun, "to_the_end", lost)
    workshop, folder = make_workshop(tmp_path), TrialFolder(tmp_path / "00000")
    folder.path.mkdir()
    for rank in (0, 1, 1):
        assert folder.read_result() is None, "no worker has lost it twice"
        with pytest.raises(BrokenGroupError):
            run_trial(spec_of(experiment()), folder, workshop, Rungs(), shard=Shard(rank, 2))
    result = folder.read_result()
    assert result is not None
    assert "device-side assert" in str(result.reason)
    assert sorted(path.name for path in folder.path.iterdir()) == ["curve.json", "result.json"]


@pytest.mark.parametrize("error", [IndexError("index out of range in self"), KeyError("x"), AttributeError("y")])
def test_whatever_a_trials_own_code_raises_fails_that_trial(tmp_path: Path, error: Exception) -> None:
    result = run_trial(spec_of(experiment()), TrialFolder(tmp_path / "00000"), make_workshop(tmp_path), OneError(error))
    assert result is not None
    assert (result.state, result.reason) == ("failed", f"{type(error).__name__}: {error}")


def test_a_driver_that_slept_through_its_lease_changes_nothing(home: HomeFolder, small_data: Path) -> None:
    """While trial 0 is being trained here, another driver takes it over and finishes it."""
    finished: list[dict[str, tuple[bytes, int]]] = []

    def take_over(number: int, rung: Rung) -> None:
        if finished or rung.step != 2:
            return
        attrs = sleeper.ledger.study.trials[0]
        other = Owner("another-machine", process=1, born=0.0)
        sleeper.ledger.storage.set_trial_user_attr(attrs._trial_id, LEASE, {**lease(other), "until": 0.0})
        second = study(home, small_data, {"search.trials": 1})
        run_local(second)
        second.close()
        finished.append(content(second.folder.path, "trials/**/*"))

    watcher = Watcher(at_rung=take_over)
    sleeper = study(home, small_data, {"search.trials": 1}, watcher)
    run_local(sleeper)
    assert watcher.events == [("started", 0), ("reported", 0)], "it was to stop at its next rung"
    assert sleeper.close().problems == ()
    kept = content(sleeper.folder.path, "trials/**/result.json")
    assert kept == {name: finished[0][name] for name in kept}
    assert [trial.state.name for trial in trials_of(home.ledger_url)] == ["COMPLETE"]
    assert runs_by_trial(TrackingStore(home.tracking_url, home.artifacts), "small") == {"small/0": 1}


def test_the_first_of_two_results_stands(finished: HomeFolder, tmp_path: Path) -> None:
    one, other = finished.study("small").results()[:2]
    folder = TrialFolder(tmp_path / "00000")
    assert folder.write_result(one) == one
    assert folder.write_result(other) == one
    assert folder.read_result() == one
    assert [path.name for path in folder.path.iterdir()] == ["result.json"]


def test_a_ledger_made_anew_from_the_folders_says_what_the_lost_one_said(home: HomeFolder, small_data: Path) -> None:
    changes = {"search.sampler": TPE, "search.trials": 9, "search.pruner": ASHA}
    # Two trials at a time: what the sampler knew when it drew a trial cannot be told from the folders.
    ahead = study(home, small_data, changes)
    first = [ahead.next_trial() for _ in range(2)]
    assert None not in first
    ahead.ledger._mine.clear()
    run_local(study(home, small_data, changes, Watcher()))
    for spec in first:
        assert spec is not None
        ahead.ledger._mine[spec.number] = ahead.ledger._id(spec.number)
        ahead.ledger.release(spec.number)
    last = study(home, small_data, changes)
    run_local(last)
    last.close()
    before = trials_of(home.ledger_url)
    assert {trial.state.name for trial in before} == {"COMPLETE", "PRUNED"}

    home_ledger = Path(home.ledger_url.removeprefix("sqlite:///"))
    for file in home_ledger.parent.glob(f"{home_ledger.name}*"):
        file.unlink()
    folders = content(last.folder.path, "trials/**/*")
    watcher = Watcher()
    again = study(home, small_data, changes, watcher)
    run_local(again)
    again.close()
    assert watcher.numbers("started") == []
    assert content(last.folder.path, "trials/**/*") == folders
    known: Callable[[optuna.trial.FrozenTrial], Any] = lambda trial: (  # noqa: E731
        trial.number, trial.state, trial.values, trial.params, trial.intermediate_values,
        {key: value for key, value in trial.user_attrs.items() if key not in (LEASE, VERDICTS)},
    )  # fmt: skip
    assert [known(trial) for trial in trials_of(home.ledger_url)] == [known(trial) for trial in before]
    assert {key for trial in before for key in trial.user_attrs} == {
        ATTEMPTS, LEASE, MEASURES, REASON, RUNGS, VERDICTS,
    }  # fmt: skip
    assert again.ledger.study.user_attrs[PLANNED] == 9
