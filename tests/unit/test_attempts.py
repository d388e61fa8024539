"""Attempts at trials in a real ledger: each has an owner, its steps and what ended it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.command_line import CommandLine
from tests.ledger_fixtures import NO_BASELINES, take, trials_of
from tests.small_study import experiment, result
from tests.study_fixtures import Watcher

from hybridbatch.search.assignment import Begun
from hybridbatch.search.attempts import ATTEMPTS, begin, end
from hybridbatch.search.ledger import LEASE, Ledger
from hybridbatch.search.local import run_local
from hybridbatch.search.ownership import Owner, lease
from hybridbatch.search.session import StudySession
from hybridbatch.spec.attempts import Attempt, Cause, interruptions, repeated_steps
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.trial import Rung

ELSEWHERE = Owner("another-machine", process=1, born=0.0)


def attempt(cause: Cause | None, first_step: int, last_step: int | None) -> Attempt:
    ended = None if cause is None else "2026-01-01T00:00:00.000+00:00"
    return Attempt(
        owner=ELSEWHERE.text,
        started="2026-01-01T00:00:00.000+00:00",
        first_step=first_step,
        ended=ended,
        cause=cause,
        last_step=last_step,
    )


def test_steps_after_the_last_checkpoint_are_done_again() -> None:
    made = (attempt("worker_lost", 0, 130), attempt("driver_lost", 100, 170), attempt("finished", 150, 200))
    assert repeated_steps(made) == 30 + 20
    assert interruptions(made) == {"worker_lost": 1, "driver_lost": 1}
    stopped_while_loading = (attempt("stopped", 100, 0), attempt("stopped", 100, None), attempt(None, 100, None))
    assert repeated_steps(stopped_while_loading) == 0


def test_an_attempt_ends_once_and_one_that_nobody_ended_belongs_to_a_driver_that_is_gone() -> None:
    owner = Owner.this_process()
    one = begin((), owner, 0, None)
    assert end(end(one, "stopped", "first", 4), "error", "second", 9)[0].cause == "stopped"
    two = begin(one, owner, 4, 7)
    assert [(each.cause, each.first_step, each.last_step) for each in two] == [("driver_lost", 0, 7), (None, 4, None)]
    assert end((), "stopped", None, None) == (), "a ledger of an older version knows none"


def test_a_trial_taken_over_tells_of_the_driver_that_was_lost(url: str) -> None:
    study = experiment({**NO_BASELINES, "search.trials": 1})
    lost = Ledger(study, url)
    take(lost)
    trial_id = lost.study.trials[0]._trial_id
    lost.storage.set_trial_user_attr(trial_id, LEASE, {**lease(ELSEWHERE), "until": 0.0})  # on a machine out of reach
    heir = Ledger(study, url)
    assert heir.next_assignment(lambda number: Begun(None, resumes_at=4, reached=5)) is not None
    heir.tell(result(0, values=(0.5,)))
    first, second = heir.attempts_at(0)
    assert (first.cause, first.last_step, second.first_step, second.cause) == ("driver_lost", 5, 4, "finished")
    assert second.ended == result(0).finished, "when the trial was finished, not when it was told"
    heir.tell(result(0, values=(0.5,)))
    assert heir.attempts_at(0) == (first, second)
    plain = trials_of(url)[0].user_attrs[ATTEMPTS]
    assert [one["cause"] for one in plain] == ["driver_lost", "finished"], "for whoever reads with Optuna alone"


def test_a_stopped_study_says_so_in_ledger_folder_and_status(
    home: HomeFolder, small_data: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    def stop(number: int, rung: Rung) -> None:
        if rung.step == 4:
            watcher.at_rung = lambda number, rung: None
            raise KeyboardInterrupt

    study, watcher = experiment({**NO_BASELINES, "search.trials": 1}), Watcher(at_rung=stop)
    first = StudySession(study, home, small_data, None, watcher)
    with pytest.raises(KeyboardInterrupt):
        run_local(first)
    first.close()
    assert [(one.cause, one.last_step) for one in first.ledger.attempts_at(0)] == [("stopped", 4)]
    state = json.loads(command_line("status", "small", "--home", str(home.path), "--json").out)
    assert state["interruptions"] == {"stopped": 1}
    second = StudySession(study, home, small_data, None, Watcher())
    run_local(second)
    made = second.ledger.attempts_at(0)
    assert [(one.cause, one.first_step, one.last_step) for one in made] == [("stopped", 0, 4), ("finished", 4, 6)]
    second.close()
    assert second.folder.trial(0).read_attempts() == made
    said = command_line("status", "small", "--home", str(home.path)).out
    assert "interrupted attempts: 1 stopped" in said

    # A ledger made anew from the folders knows them as well.
    for file in home.path.glob("ledger.db*"):
        file.unlink()
    anew = StudySession(study, home, small_data, None, Watcher())
    assert anew.next_trial() is None
    assert anew.ledger.attempts_at(0)[: len(made)] == made
    anew.close()


def test_runs_tell_how_often_a_trial_was_interrupted(finished: HomeFolder, tmp_path: Path) -> None:
    from hybridbatch.tracking.records import record_of

    study = HomeFolder(tmp_path / "home").study("small")
    shutil.copytree(finished.study("small").path, study.path)
    folder = study.trial(0)
    folder.write_attempts((attempt("worker_lost", 0, 3), attempt("worker_lost", 2, 5), attempt("finished", 4, 6)))
    record = record_of(folder, "small")
    assert record.tags["interruptions"] == "worker_lost: 2"
    assert {one.key: one.value for one in record.metrics}["repeated_steps"] == 2
    assert "interruptions" not in record_of(study.trial(1), "small").tags
