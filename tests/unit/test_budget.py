"""What a study may use: read, added up, and kept to by every driver."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command_line import CommandLine
from tests.ledger_fixtures import NO_BASELINES, TEMPERATURE, take, trials_of
from tests.small_study import experiment, result, write_file
from tests.study_fixtures import Watcher

from hybridbatch.foundation.errors import ExperimentErrors
from hybridbatch.search.assignment import Begun
from hybridbatch.search.attempts import ATTEMPTS
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.local import run_local
from hybridbatch.search.ownership import LEASE, LEASE_SECONDS, Owner
from hybridbatch.search.session import StudySession, load_study
from hybridbatch.spec.attempts import Attempt, Attempts
from hybridbatch.spec.budget import Budget, Spent
from hybridbatch.spec.costs import cost_of, hours_at_work
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.trial import Rung, TrialResult

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ELSEWHERE = Owner("another-machine", process=1, born=0.0)
# Four drivers; every trial takes an hour.
FOUR_DRIVERS = """
import os, sys
from tests.small_study import experiment
from tests.unit.test_budget import an_hour_long
from hybridbatch.search.ledger import Ledger
study = experiment({"search.baselines": {}, "search.trials": 60, "search.budget": {"worker_hours": 9.9}})
children = []
for driver in range(4):
    child = os.fork()
    if child == 0:
        ledger = Ledger(study, sys.argv[1])
        while (given := ledger.next_assignment()) is not None:
            ledger.tell(an_hour_long(given.number))
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitpid(child, 0)[1] for child in children))
"""


def an_hour_long(number: int) -> TrialResult:
    """Return an outcome that will have taken an hour when it is told now."""
    end = datetime.now(UTC) + timedelta(hours=1)
    return result(number, values=(0.5,)).model_copy(update={"finished": end.isoformat(timespec="milliseconds")})


def worked(begin: float, end: float | None, workers: int | None = None, gpus: float | None = None) -> Attempt:
    """Return an attempt from one hour after noon to another."""
    ended = None if end is None else (NOON + timedelta(hours=end)).isoformat()
    started = (NOON + timedelta(hours=begin)).isoformat()
    return Attempt(owner=ELSEWHERE.text, started=started, ended=ended, workers=workers, gpus_per_worker=gpus)


def begun_ago(ledger: Ledger, number: int, hours: float) -> None:
    """Let the attempt that goes on at a trial have begun some hours ago."""
    trial = ledger.study.trials[number]
    (made,) = trial.user_attrs[ATTEMPTS]
    started = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    ledger.storage.set_trial_user_attr(trial._trial_id, ATTEMPTS, [{**made, "started": started}])


@pytest.mark.parametrize(
    ("budget", "path", "problem"),
    [
        ({}, "search.budget", "a budget without a limit"),
        ({"hours": None}, "search.budget", "a budget without a limit"),
        ({"hours": 0}, "search.budget.hours", "greater than 0"),
        ({"gpu_hours": "many"}, "search.budget.gpu_hours", "wrong type"),
        ({"days": 1}, "search.budget.days", "unknown key"),
    ],
)
def test_a_budget_that_says_nothing_is_refused(budget: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(ExperimentErrors, match=problem) as refused:
        experiment({"search.budget": budget})
    assert [error.path for error in refused.value.errors] == [path]


def test_it_is_spent_when_one_limit_is_reached() -> None:
    budget = Budget(hours=2, gpu_hours=8)
    assert not budget.is_spent(Spent(1.9, 100, 7.9))
    assert budget.is_spent(Spent(2, 0, 0))
    assert budget.is_spent(Spent(0, 0, 8))


def test_hours_in_which_several_trials_were_worked_on_count_once() -> None:
    first, second = (worked(0, 2), worked(5, 6)), (worked(1, 3), worked(5.25, None))
    assert hours_at_work([(first, None), (second, NOON + timedelta(hours=7))]) == pytest.approx(3 + 2)
    assert hours_at_work([(second, None)]) == pytest.approx(2), "of one that lasts nothing is known"
    assert hours_at_work([]) == 0
    clock_behind = (worked(4, 3),)
    assert hours_at_work([(clock_behind, None), (first, None)]) == pytest.approx(3)


def test_gpu_hours_are_those_of_every_worker() -> None:
    made = (worked(0, 2, workers=4, gpus=0.5), worked(2, 3, workers=2, gpus=1), worked(3, 4))
    assert cost_of(made, workers=3, gpus_per_worker=2).gpu_hours == pytest.approx(4 + 2 + 6)
    assert cost_of(made, workers=3).gpu_hours == pytest.approx(4 + 2)


spans = st.tuples(st.floats(0, 50), st.floats(0, 20)).map(lambda one: worked(one[0], one[0] + one[1]))


@given(st.lists(st.lists(spans, max_size=3).map(tuple), max_size=4))
def test_hours_at_work_lie_between_the_longest_attempt_and_the_sum(trials: list[Attempts]) -> None:
    found = hours_at_work([(made, None) for made in trials])
    each = [cost_of((one,), 1).worker_hours for made in trials for one in made]
    assert max(each, default=0) - 1e-9 <= found <= sum(each) + 1e-9


def test_a_spent_budget_lets_no_driver_begin_and_those_at_work_end(any_url: str) -> None:
    changes = {**NO_BASELINES, "search.trials": 3, "resources.workers": 2, "resources.gpus_per_worker": 2}
    limited = experiment({**changes, "search.budget": {"gpu_hours": 4}})
    first, second = Ledger(limited, any_url), Ledger(limited, any_url)
    given = take(first)
    begun_ago(first, given.number, 0.9)
    assert take(second).number == 1, "3.6 of 4 are spent"
    begun_ago(first, given.number, 1.1)
    assert first.next_assignment() is second.next_assignment() is None
    spent = first.spent()
    assert spent == pytest.approx(Spent(1.1, 2.2, 4.4), rel=0.01), "and a moment of the other one"
    assert (first.not_begun(), first.counts().waiting, first.counts().running) == (1, 1, 2)
    assert first.report(0, Rung(step=2, seconds=1, train_loss=1.0, summary={"map_multi": 0.5})), "goes on"
    second.release(1)
    assert take(second).number == 1, "it was begun: what it cost is not to be lost"
    for number in (0, 1):
        second.tell(result(number, values=(0.5,)))
    richer = Ledger(experiment({**changes, "search.budget": {"gpu_hours": 40}}), any_url)
    assert take(richer).number == 2, "a larger budget is no other experiment"


def test_the_time_after_a_driver_was_lost_is_not_spent(url: str) -> None:
    limited = experiment({**NO_BASELINES, "search.trials": 2, "search.budget": {"hours": 2}})
    lost = Ledger(limited, url)
    take(lost)
    begun_ago(lost, 0, 10)
    alive = datetime.now(UTC) - timedelta(hours=9)
    entry = {"owner": ELSEWHERE.text, "until": alive.timestamp() + LEASE_SECONDS}
    lost.storage.set_trial_user_attr(lost.study.trials[0]._trial_id, LEASE, entry)
    heir = Ledger(limited, url)
    assert heir.spent().hours == pytest.approx(1, rel=1e-3)
    assert take(heir).number == 0
    ended = heir.attempts_at(0)[0].ended
    assert ended is not None
    assert abs(datetime.fromisoformat(ended) - alive) < timedelta(seconds=1)
    assert heir.spent().hours == pytest.approx(1, rel=1e-3)
    assert take(heir).number == 1
    assert Ledger(limited, url).give_back(0, None) is False, "in living hands"


def test_a_driver_lost_at_once_has_no_attempt_that_ends_before_it_begins(url: str) -> None:
    limited = experiment({**NO_BASELINES, "search.budget": {"hours": 2}})
    lost = Ledger(limited, url)
    take(lost)
    trial = lost.study.trials[0]
    entry = {**trial.user_attrs[LEASE], "owner": ELSEWHERE.text, "until": time.time() - 1}
    lost.storage.set_trial_user_attr(trial._trial_id, LEASE, entry)
    heir = Ledger(limited, url)
    take(heir)
    first, second = heir.attempts_at(0)
    assert first.ended == first.started <= second.started


def test_a_ledger_made_anew_gets_all_trials_back_also_when_they_spent_the_budget(url: str) -> None:
    ledger = Ledger(experiment({**NO_BASELINES, "search.budget": {"hours": 2}}), url)
    take(ledger)
    begun_ago(ledger, 0, 3)
    assert ledger.next_assignment() is None
    back = ledger.next_assignment(lambda number: Begun(params={TEMPERATURE: 0.125}, finished=True))
    assert back is not None
    assert (back.number, back.params) == (1, {TEMPERATURE: 0.125})


def test_four_drivers_at_once_begin_no_trial_too_many(url: str) -> None:
    subprocess.run([sys.executable, "-c", FOUR_DRIVERS, url], check=True, timeout=240)
    trials = trials_of(url)
    assert all(trial.state.name == "COMPLETE" for trial in trials)
    assert 10 <= len(trials) <= 10 + 3, "three were at work when the tenth ended"


def test_what_was_begun_is_ended_after_an_interruption_too(home: HomeFolder, small_data: Path) -> None:
    def stop(number: int, rung: Rung) -> None:
        raise KeyboardInterrupt

    limited = experiment({**NO_BASELINES, "search.budget": {"hours": 1e-7}})
    first = StudySession(limited, home, small_data, None, Watcher(at_rung=stop))
    with pytest.raises(KeyboardInterrupt):
        run_local(first)
    first.close()
    watcher = Watcher()
    second = StudySession(load_study(home, "small"), home, small_data, None, watcher)
    run_local(second)
    second.close()
    assert watcher.numbers("finished") == [0]
    assert (second.counts().complete, second.ledger.not_begun()) == (1, 2)


def test_the_commands_say_what_is_spent_and_how_to_go_on(
    home: HomeFolder, twin_home: HomeFolder, tmp_path: Path, command_line: CommandLine
) -> None:
    at_home, changes = ("--home", home.path), {**NO_BASELINES, "training.steps": 2}
    file = write_file(tmp_path, {**changes, "search.budget": {"hours": 1e-7, "worker_hours": 50}})
    assert "Budget: 1e-07 hours, 50 worker-hours" in command_line("plan", file, *at_home).out
    assert command_line("plan", file, *at_home, "--json").json["budget"] == {"hours": 1e-7, "worker_hours": 50}
    said = command_line("run", file, *at_home, "--local")
    assert said.code == 0, said
    assert "of 1e-07 hours" in said.out
    assert "the budget is spent: 2 planned trials were not begun. To go on, raise search.budget" in said.out
    assert "hybridbatch extend small --file FILE" in said.out
    assert "not finished" not in said.out
    state = command_line("status", "small", *at_home, "--json").json
    assert state["budget"]["limits"] == {"hours": 1e-7, "worker_hours": 50}
    assert (state["budget"]["is_spent"], state["not_begun"], state["trials"]["complete"]) == (True, 2, 1)
    assert 0 < state["budget"]["spent"]["hours"] == state["budget"]["spent"]["worker_hours"] < 1
    assert state["budget"]["spent"]["gpu_hours"] == state["cost"]["gpu_hours"] == 0
    shown = command_line("status", "small", *at_home).out
    assert "the budget is spent: 2 planned trials were not begun" in shown
    assert "go on with" not in shown

    more = write_file(tmp_path, {**changes, "search.budget": {"hours": 5}})
    said = command_line("extend", "small", "--file", more, *at_home)
    assert said.out.splitlines()[:2] == ["small: 3 trials planned, 3 before", "budget: 5 hours"]
    assert command_line("resume", "small", *at_home, "--local").code == 0
    state = command_line("status", "small", *at_home, "--json").json
    assert (state["trials"]["complete"], state["budget"]["is_spent"], state["not_begun"]) == (3, False, 0)
    free = write_file(tmp_path, changes)
    assert command_line("run", free, "--home", twin_home.path, "--local").code == 0
    values = [[trial.params[TEMPERATURE] for trial in trials_of(one.ledger_url)] for one in (home, twin_home)]
    assert values[0] == values[1], "the same trials as without a budget"
    assert command_line("status", "small", "--home", twin_home.path, "--json").json["budget"] is None
