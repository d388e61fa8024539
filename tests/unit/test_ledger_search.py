"""Tune's searcher and scheduler over a real ledger, called as Tune calls them; no Ray instance runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from tests.ledger_fixtures import NO_BASELINES
from tests.small_study import experiment, result, rung
from tests.study_fixtures import Watcher

from hybridbatch.cluster.interruptions import cause_of
from hybridbatch.cluster.ledger_search import Faults, LedgerScheduler, LedgerSearcher
from hybridbatch.search.ledger import LEASE
from hybridbatch.search.ownership import Owner, lease
from hybridbatch.search.session import StudySession
from hybridbatch.spec.attempts import repeated_steps
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.training.progress import ProgressFile

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray, when it is imported


def session_of(home: HomeFolder, data: Path, changes: dict[str, Any]) -> StudySession:
    return StudySession(experiment({**NO_BASELINES, **changes}), home, data, None, Watcher())


def test_a_trial_that_loses_its_workers_is_given_out_again_until_it_is_too_often(
    home: HomeFolder, small_data: Path
) -> None:
    few = {"search.trials": 2, "resources": {"retries": {"worker_lost": 1}}}
    session, faults = session_of(home, small_data, few), Faults()
    searcher = LedgerSearcher(session, faults)
    assert searcher.suggest("a")["number"] == 0
    searcher.on_trial_complete("a", {"lost": "WorkerDiedError: out of memory", "done": True})
    assert (searcher.suggest("b")["number"], faults.first) == (0, None)
    searcher.on_trial_complete("b", {"lost": "WorkerDiedError: out of memory", "done": True})
    assert faults.first is not None
    assert "trial 0 lost its workers too often" in faults.first.problem
    assert faults.first.path == "resources.retries.worker_lost"
    assert faults.first.seen == "WorkerDiedError: out of memory"
    assert searcher.suggest("c") == Searcher.FINISHED
    session.close()
    assert session.counts().waiting == 2, "the trial itself is not at fault"
    resumed = session_of(home, small_data, few)
    assert LedgerSearcher(resumed, Faults()).suggest("a")["number"] == 0
    searcher = LedgerSearcher(resumed, faults := Faults())
    searcher.numbers["a"] = 0
    searcher.on_trial_complete("a", {"lost": "again", "done": True})
    assert faults.first is None, "whoever resumes has mended something: they are counted anew"
    assert [one.cause for one in resumed.ledger.attempts_at(0)] == ["worker_lost"] * 3
    resumed.close()


def test_workers_interrupted_in_a_trial_go_on_with_it_under_a_new_attempt(home: HomeFolder, small_data: Path) -> None:
    session, faults = session_of(home, small_data, {"search.trials": 1}), Faults()
    searcher = LedgerSearcher(session, faults)
    scheduler = LedgerScheduler(searcher)
    trial = SimpleNamespace(config=searcher.suggest("a"))
    folder = session.folder.trial(0)
    (folder.checkpoints / "step-00000002").mkdir(parents=True)
    ProgressFile(folder.progress, 6, active=True).update(phase="training", step=3)
    told = {"interrupted": ("preempted", "the machine goes")}
    assert scheduler.on_trial_result(None, trial, told) == TrialScheduler.CONTINUE
    first, second = session.ledger.attempts_at(0)
    assert (first.cause, first.detail, first.first_step, first.last_step) == ("preempted", "the machine goes", 0, 3)
    assert (second.cause, second.first_step) == (None, 2)
    assert repeated_steps((first, second)) == 1
    session.close()
    assert [one.cause for one in session.ledger.attempts_at(0)] == ["preempted", "stopped"]


def test_a_trial_whose_workers_have_too_little_memory_again_and_again_is_failed_alone(
    home: HomeFolder, small_data: Path
) -> None:
    session, faults = session_of(home, small_data, {"search.trials": 2}), Faults()
    searcher = LedgerSearcher(session, faults)
    scheduler = LedgerScheduler(searcher)
    trial = SimpleNamespace(config=searcher.suggest("a"))
    told = {"interrupted": ("out_of_memory", "7.5 of 8 GB")}
    assert scheduler.on_trial_result(None, trial, told) == TrialScheduler.CONTINUE, "once may be the neighbours' doing"
    assert scheduler.on_trial_result(None, trial, told) == TrialScheduler.STOP
    searcher.on_trial_complete("a", told)
    result = session.folder.trial(0).read_result()
    assert result is not None
    assert (result.state, result.reason) == ("failed", "its workers ran out of memory: 7.5 of 8 GB")
    assert [one.cause for one in session.ledger.attempts_at(0)] == ["out_of_memory", "out_of_memory", "error"]
    assert session.folder.trial(0).read_attempts() == session.ledger.attempts_at(0)
    assert faults.first is None
    assert searcher.suggest("b")["number"] == 1, "the study goes on"
    session.close()


def test_a_spent_budget_ends_what_was_begun_and_hands_out_nothing_else(home: HomeFolder, small_data: Path) -> None:
    session = session_of(home, small_data, {"search.trials": 3, "search.budget": {"hours": 1e-7}})
    searcher = LedgerSearcher(session, Faults())
    assert searcher.suggest("a")["number"] == 0
    assert searcher.suggest("b") is None, "what runs may be given back"
    searcher.on_trial_complete("a")
    assert searcher.suggest("c")["number"] == 0
    session.folder.trial(0).write_result(result(0, values=(0.5,)))
    searcher.on_trial_complete("c")
    assert searcher.suggest("d") == Searcher.FINISHED
    session.close()
    assert (session.counts().complete, session.ledger.not_begun()) == (1, 2)


def test_why_workers_ended_is_what_says_most() -> None:
    died, full = RayActorError(error_msg="the actor died"), OutOfMemoryError("the node is full")
    gone = RayActorError(error_msg="the node was taken away", preempted=True)
    behind = RuntimeError("gloo: connection closed by peer")
    wrapped = WorkerHealthCheckFailedError("no answer", gone)
    assert cause_of([behind, died]) == ("worker_lost", "the actor died")
    assert cause_of([behind, died, full]) == ("out_of_memory", "the node is full")
    assert cause_of([full, wrapped]) == ("preempted", "the node was taken away")
    assert cause_of([behind]) == ("worker_lost", "gloo: connection closed by peer")


def test_a_trial_begun_with_other_resources_goes_on_with_those_of_today(home: HomeFolder, small_data: Path) -> None:
    yesterday = session_of(home, small_data, {"search.trials": 1, "resources": {"workers": 8}})
    assert yesterday.next_trial() is not None
    yesterday.close()
    today = session_of(home, small_data, {"search.trials": 1, "resources": {"workers": 1}})
    given = LedgerSearcher(today, Faults()).suggest("a")
    assert (given["number"], given["resources"]["workers"]) == (0, 1)
    today.close()


def test_a_trial_in_other_hands_is_ended_here_without_a_verdict(home: HomeFolder, small_data: Path) -> None:
    session, faults = session_of(home, small_data, {"search.trials": 1}), Faults()
    searcher = LedgerSearcher(session, faults)
    scheduler = LedgerScheduler(searcher)
    config = searcher.suggest("a")
    trial = session.ledger.study.trials[0]
    other = Owner("another-machine", process=1, born=0.0)
    session.ledger.storage.set_trial_user_attr(trial._trial_id, LEASE, lease(other))
    told = {"rung": rung(2, 0.5).model_dump_json(), "mailbox": None}  # of which nothing may be asked
    assert scheduler.on_trial_result(None, SimpleNamespace(config=config), told) == TrialScheduler.STOP
    searcher.on_trial_complete("a", told)
    session.close()
    assert session.ledger.running() == {0}, "the other driver's lease was given back"
    assert faults.first is None


def test_a_driver_without_a_trial_waits_while_contenders_are_open(home: HomeFolder, small_data: Path) -> None:
    changes = {"search.trials": 2, "search.replicates": {"contenders": 1, "seeds": [5]}}
    one, other = (session_of(home, small_data, changes) for _ in range(2))
    searcher, at_work = LedgerSearcher(one, Faults()), LedgerSearcher(other, Faults())
    assert at_work.suggest("x")["number"] == 0
    assert searcher.suggest("a")["number"] == 1
    one.folder.trial(1).write_result(result(1, values=(0.5,)))
    searcher.on_trial_complete("a")
    assert searcher.suggest("b") is None, "the trial in other hands may contend"
    assert searcher.suggest("b") is None, "without asking the ledger again at once"
    other.folder.trial(0).write_result(result(0, values=(0.7,)))
    at_work.on_trial_complete("x")
    searcher._empty_until = 0.0
    assert searcher.suggest("b")["number"] == 2
    assert one.folder.trial(2).read_spec().replicate_of == 0
    assert at_work.suggest("y") == Searcher.FINISHED, "what is left is in other hands"
    one.close()
    other.close()
