"""A whole study in this process: folders, ledger and MLflow say the same, and going on changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from tests.small_study import experiment
from tests.study_fixtures import VARIED, Watcher, content, figures
from tests.tiny_trial import Rungs

from hybridbatch.foundation.errors import StoreError
from hybridbatch.search.assignment import Counts
from hybridbatch.search.local import run_local
from hybridbatch.search.ownership import Owner
from hybridbatch.search.session import StudySession, load_study
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.tracking.projection import ProjectionReport, project_study
from hybridbatch.tracking.store import StudyRuns, TrackingStore, runs_by_trial
from hybridbatch.training.trial import run_trial
from hybridbatch.training.workshop import Workshop

ONE_TRIAL = {"search.trials": 1, "search.baselines": {}, "training.steps": 2}
TOLD = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def tracking(home: HomeFolder) -> TrackingStore:
    return TrackingStore(home.tracking_url, home.artifacts)


def told(home: HomeFolder) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="small", storage=home.ledger_url).get_trials()


def test_every_folder_is_complete_and_nothing_is_left_over(finished: HomeFolder) -> None:
    study = finished.study("small")
    results = study.results()
    assert [one.number for one in results] == list(range(6))
    assert [one.state for one in results[:2]] == ["complete", "failed"]
    assert "pruned" in {one.state for one in results[2:]} <= {"complete", "pruned"}
    for one in results:
        there = set(content(study.trial(one.number).path))
        assert {"spec.json", "result.json", "curve.json"} <= there
        kept = {"scores/small_report.parquet", "model/model.safetensors", "model/config.json"}
        assert kept <= there if one.state == "complete" else not kept & there
        assert not [name for name in there if name.startswith((".", "checkpoints", "progress", "best"))]
    assert results[1].reason is not None
    assert "the loss is not finite at step 0" in results[1].reason


def test_the_ledger_says_what_the_folders_say(finished: HomeFolder) -> None:
    results = finished.study("small").results()
    assert [trial.number for trial in told(finished)] == [one.number for one in results]
    for trial, one in zip(told(finished), results, strict=True):
        assert trial.state == TOLD[one.state]
        assert trial.user_attrs.get("reason") == one.reason
        assert trial.intermediate_values == {rung.step: rung.summary["map_multi"] for rung in one.rungs}
        if one.state == "complete":
            assert trial.values == list(one.values or ())
        if one.baseline is None:
            assert trial.params == one.params


def test_mlflow_has_one_parent_and_one_run_for_each_trial(finished: HomeFolder) -> None:
    assert runs_by_trial(tracking(finished), "small") == {f"small/{number}": 1 for number in range(6)}
    runs = StudyRuns(tracking(finished), "small")
    everything = list(runs.search(""))
    parent = runs.parent(0, "")
    assert len(everything) == 7
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs.children()} == {parent.info.run_id}
    assert {run.info.status for run in everything} == {"FINISHED", "FAILED", "KILLED"}  # complete, failed, pruned


def test_going_on_with_a_finished_study_changes_nothing(finished: HomeFolder, small_data: Path) -> None:
    study, store, watcher = finished.study("small"), tracking(finished), Watcher()
    before = content(study.path, "trials/**/*"), told(finished), runs_by_trial(store, "small")
    session = StudySession(load_study(finished, "small"), finished, small_data, None, watcher)
    run_local(session)
    assert session.close() == ProjectionReport(n_new=0, n_already=6, problems=())
    assert watcher.events == []
    assert (content(study.path, "trials/**/*"), told(finished), runs_by_trial(store, "small")) == before


def test_a_result_that_nobody_heard_of_is_told_without_running_again(home: HomeFolder, small_data: Path) -> None:
    made = experiment({**ONE_TRIAL, "search.trials": 2})
    session = StudySession(made, home, small_data, None, Watcher())
    session.ledger.owner = Owner(session.ledger.owner.machine, os.getpid(), born=0.0)  # a process that is no more
    spec = session.next_trial()
    assert spec is not None
    folder = session.folder.trial(spec.number)
    assert run_trial(spec, folder, Workshop(session.location), Rungs()) is not None  # and here the driver dies
    before = content(folder.path)
    (folder.checkpoints / "step-00000002").mkdir(parents=True)  # it had not come to removing them
    folder.progress.write_text("{}")
    assert told(home)[0].state == TrialState.RUNNING

    watcher = Watcher()
    again = StudySession(made, home, small_data, None, watcher)
    assert again.told_from_folders == 1
    run_local(again)
    assert again.close().n_new == 1  # the other one was written by the writer meanwhile
    assert watcher.numbers("started") == [1]
    after = content(folder.path)
    assert b'"cause": "finished"' in after.pop("attempts.json")[0], "written when it is told"
    assert after == before
    assert [trial.state for trial in told(home)] == 2 * [TrialState.COMPLETE]
    assert runs_by_trial(tracking(home), "small") == {"small/0": 1, "small/1": 1}


def test_a_tracking_store_that_is_down_stops_nothing_and_catches_up(home: HomeFolder, small_data: Path) -> None:
    password = "sqlite:////dev/null/nowhere/mlflow.db?password=s3cret"
    made = experiment({**ONE_TRIAL, "stores": {"tracking": password}})
    session = StudySession(made, home, small_data, None, Watcher())
    run_local(session)
    assert session.counts() == Counts(complete=1, pruned=0, failed=0, running=0, waiting=0)
    (problem,) = session.close().problems
    assert "1 finished trials wait: MLflow at sqlite:////dev/null/nowhere/mlflow.db" in problem
    assert "s3cret" not in problem
    assert project_study(session.folder, tracking(home)) == ProjectionReport(n_new=1, n_already=0, problems=())
    assert runs_by_trial(tracking(home), "small") == {"small/0": 1}


def test_the_archive_holds_the_folders_and_catches_up(home: HomeFolder, small_data: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / "small").mkdir(parents=True)
    (archive / "small" / "00001").write_text("a file where a folder should be")
    made = experiment({**ONE_TRIAL, "search.trials": 3, "stores": {"archive": archive.as_uri()}})
    session = StudySession(made, home, small_data, None, Watcher())
    run_local(session)
    assert session.counts().complete == 3
    (problem,) = session.close().problems
    assert problem.startswith("the archive cannot be written: file:///")
    (archive / "small" / "00001").unlink()

    again = StudySession(made, home, small_data, None, Watcher())
    assert again.close().problems == ()
    for number in range(3):
        copies = content(archive / "small" / f"{number:05d}")
        assert copies.pop(".archived")[0] == b""
        originals = content(session.folder.trial(number).path)
        assert {name: one[0] for name, one in copies.items()} == {name: one[0] for name, one in originals.items()}
    before = content(archive)
    StudySession(made, home, small_data, None, Watcher()).close()
    assert content(archive) == before


def test_an_archive_that_is_not_there_is_named_before_the_first_trial(home: HomeFolder, small_data: Path) -> None:
    made = experiment({**ONE_TRIAL, "stores": {"archive": "file:///dev/null/archive"}})
    with pytest.raises(StoreError, match="the archive cannot be written") as refused:
        StudySession(made, home, small_data, None, Watcher())
    assert (refused.value.path, refused.value.file) == ("stores.archive", "file:///dev/null/archive")
    assert not home.study("small").path.exists()


def test_the_number_of_trials_is_remembered_until_another_is_asked_for(home: HomeFolder, small_data: Path) -> None:
    made = experiment({"search.baselines": {}, "search.trials": 3})
    sessions = []
    for source, trials, planned in ((made, 1, 1), (None, None, 1), (made, 5, 5), (None, None, 5), (made, None, 3)):
        session = StudySession(source or load_study(home, "small"), home, small_data, trials, Watcher())
        assert session.counts().waiting == planned
        sessions.append(session)
    for session in sessions:
        session.close()


def test_the_same_study_gives_the_same_figures_again(finished: HomeFolder, home: HomeFolder, small_data: Path) -> None:
    session = StudySession(experiment(VARIED), home, small_data, None, Watcher())
    run_local(session)
    session.close()
    assert figures(session.folder) == figures(finished.study("small"))
