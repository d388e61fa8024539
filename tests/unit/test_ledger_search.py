"""Tune's searcher and scheduler over a real ledger, called as Tune calls them; no Ray instance runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from tests.ledger_fixtures import NO_BASELINES
from tests.small_study import experiment, rung
from tests.study_fixtures import Watcher

from hybridbatch.cluster.ledger_search import Faults, LedgerScheduler, LedgerSearcher
from hybridbatch.search.ledger import LEASE
from hybridbatch.search.ownership import Owner, lease
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray, when it is imported


def session_of(home: HomeFolder, data: Path, changes: dict[str, Any]) -> StudySession:
    return StudySession(experiment({**NO_BASELINES, **changes}), home, data, None, Watcher())


def test_a_trial_that_loses_its_workers_is_given_out_again_until_it_is_too_often(
    home: HomeFolder, small_data: Path
) -> None:
    session, faults = session_of(home, small_data, {"search.trials": 2, "resources": {"restarts": 1}}), Faults()
    searcher = LedgerSearcher(session, faults)
    assert searcher.suggest("a")["number"] == 0
    searcher.on_trial_complete("a", {"lost": "WorkerDiedError: out of memory", "done": True})
    assert (searcher.suggest("b")["number"], faults.first) == (0, None)
    searcher.on_trial_complete("b", {"lost": "WorkerDiedError: out of memory", "done": True})
    assert faults.first is not None
    assert "trial 0 lost its worker group 2 times" in faults.first.problem
    assert faults.first.seen == "WorkerDiedError: out of memory"
    assert searcher.suggest("c") == Searcher.FINISHED
    session.close()
    assert session.counts().waiting == 2, "the trial itself is not at fault"


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
    searcher, scheduler = LedgerSearcher(session, faults), LedgerScheduler(session, faults)
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
