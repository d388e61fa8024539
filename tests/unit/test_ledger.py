"""The ledger on a real SQLite store: every trial is asked once, run under one number, told once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from optuna.trial import TrialState
from tests.ledger_fixtures import ASHA, NO_BASELINES, TEMPERATURE, TPE, TWO_OBJECTIVES, TWO_PARAMS, take, trials_of
from tests.small_study import experiment, result, rung

from hybridbatch.foundation.errors import UserError
from hybridbatch.search import ownership
from hybridbatch.search.assignment import Counts
from hybridbatch.search.ledger import LEASE, Ledger
from hybridbatch.search.ownership import Owner
from hybridbatch.search.planned import planned_trials

# Asks for one trial, says which, then sleeps: a driver at work until it is killed.
WORKER = """
import sys, time
from tests.small_study import experiment
from hybridbatch.search.ledger import Ledger
ledger = Ledger(experiment({"search.baselines": {}}), sys.argv[1])
given = ledger.next_assignment()
print(given.number, given.params["loss.temperature"], flush=True)
time.sleep(600)
"""
# Four drivers that ask, tell half of what they got and keep the rest, all at the same time.
FOUR_DRIVERS = """
import os, sys
from pathlib import Path
from tests.small_study import experiment, result
from hybridbatch.search.ledger import Ledger
study = experiment({"search.baselines": {}, "search.trials": 60})
children = []
for driver in range(4):
    child = os.fork()
    if child == 0:
        ledger, numbers = Ledger(study, sys.argv[1]), []
        while (given := ledger.next_assignment()) is not None:
            numbers.append(given.number)
            if given.number % 2:
                ledger.tell(result(given.number, values=(0.5,)))
        draft = Path(sys.argv[2], f"{driver}.draft")
        draft.write_text(" ".join(map(str, numbers)))
        draft.rename(draft.with_suffix(".txt"))
        sys.stdin.readline()  # a driver that ends would give up what it holds
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


# --- which trial a number stands for -----------------------------------------------------------------------------


def test_baselines_come_first_seed_by_seed_then_searched_trials() -> None:
    settings = {"mono": {"loss.temperature": 0.1}, "cross": {"loss.temperature": 0.2}}
    plan = planned_trials(
        experiment({"search.baselines": settings, "search.baseline_seeds": [3, 5], "search.trials": 7})
    )
    assert [(one.name, one.seed) for one in plan.baselines] == [("mono", 3), ("cross", 3), ("mono", 5), ("cross", 5)]
    assert plan.baselines[3].values == {"training.seed": 5, "loss.temperature": 0.2}
    assert plan.total == 4 + 7


def test_a_grid_is_asked_in_the_order_of_the_file_and_may_be_cut_short(url: str) -> None:
    grid = {"training.seed": {"choice": [7, 1]}, "batches.size": {"integer": [4, 6]}}
    made = experiment({"search.space": grid, "search.sampler": {"kind": "grid"}, "search.trials": 5})
    ledger = Ledger(made, url)
    given = [ledger.next_assignment() for _ in range(7)]
    assert [one.params for one in given[1:6] if one] == [
        {"training.seed": seed, "batches.size": size} for seed, size in ((7, 4), (7, 5), (7, 6), (1, 4), (1, 5))
    ]
    assert given[0] is not None
    assert (given[0].baseline, given[6]) == ("mono", None)
    assert [one.experiment.batches.size for one in given[1:6] if one] == [4, 5, 6, 4, 5]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"search.trials": None}, "the number of trials is missing"),
        ({"search.space": {}, "search.trials": 2}, "several trials without anything to search"),
        ({"search.sampler": {"kind": "grid"}}, "the grid sampler needs choice or integer"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem) as refused:
        planned_trials(experiment(changes))
    assert (refused.value.path or "").startswith("search.")


def test_without_anything_to_search_there_is_one_trial_or_only_the_baselines() -> None:
    nothing = {"search.space": {}, "search.trials": None}
    assert planned_trials(experiment({**nothing, **NO_BASELINES})).total == 1
    assert planned_trials(experiment(nothing)).total == 1  # the baseline
    assert planned_trials(experiment(nothing)).baselines[0].name == "mono"


# --- who gets which trial ----------------------------------------------------------------------------------------


def test_every_trial_is_asked_once_and_its_values_stand_in_its_experiment(any_url: str) -> None:
    ledger = Ledger(experiment(), any_url)
    given = [take(ledger) for _ in range(4)]
    assert [one.number for one in given] == [0, 1, 2, 3]
    assert [one.baseline for one in given] == ["mono", None, None, None]
    assert ledger.next_assignment() is None
    assert given[0].experiment.batches.mix == {"monolingual": 1.0, "crosslingual": 0.0}
    for one in given[1:]:
        assert one.experiment.loss.temperature == one.params[TEMPERATURE]
        assert 0.02 <= one.params[TEMPERATURE] <= 0.2
    assert ledger.counts() == Counts(complete=0, pruned=0, failed=0, running=4, waiting=0)


def test_two_ledgers_in_threads_share_the_trials_without_overlap(any_url: str) -> None:
    made = experiment({"search.trials": 12, **NO_BASELINES})
    ledgers, numbers = [Ledger(made, any_url), Ledger(made, any_url)], [[], []]  # type: ignore[var-annotated]

    def ask(which: int) -> None:
        while (given := ledgers[which].next_assignment()) is not None:
            numbers[which].append(given.number)

    threads = [threading.Thread(target=ask, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers[0] + numbers[1]) == list(range(12))


def test_four_processes_share_sixty_trials_without_overlap(any_url: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FOUR_DRIVERS, any_url, str(tmp_path)], stdin=subprocess.PIPE
    ) as drivers:
        files = [tmp_path / f"{driver}.txt" for driver in range(4)]
        while drivers.poll() is None and not all(file.exists() for file in files):
            time.sleep(0.05)
        shares = [[int(number) for number in file.read_text().split()] for file in files]
        drivers.communicate(b"\n\n\n\n")
    assert drivers.returncode == 0
    assert sorted(number for share in shares for number in share) == list(range(60))
    assert all(shares), "one driver got everything: nothing was contended"
    states = [trial.state for trial in trials_of(any_url)]
    assert states.count(TrialState.COMPLETE) == 30
    assert states.count(TrialState.RUNNING) == 30
    alone = Ledger(experiment({"search.trials": 60, **NO_BASELINES}), any_url)
    assert alone.counts() == Counts(complete=30, pruned=0, failed=0, running=0, waiting=30)
    assert [take(alone).number for _ in range(30)] == list(range(0, 60, 2))
    assert alone.next_assignment() is None


@pytest.fixture
def driver(any_url: str) -> Iterator[tuple[subprocess.Popen[str], int, float]]:
    """Another process that holds a trial: the process, the number and the value of the trial."""
    with subprocess.Popen([sys.executable, "-c", WORKER, any_url], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            number, value = process.stdout.readline().split()
            yield process, int(number), float(value)
        finally:
            process.kill()


def test_a_dead_drivers_trial_goes_to_the_next_under_its_number(
    any_url: str, driver: tuple[subprocess.Popen[str], int, float]
) -> None:
    process, number, value = driver
    ledger = Ledger(experiment(NO_BASELINES), any_url)
    assert (number, ledger.running(), ledger.unfinished()) == (0, {0}, [])
    assert take(ledger).number == 1, "a living driver's trial was handed out"
    process.kill()
    process.wait()
    assert (ledger.running(), ledger.unfinished()) == ({1}, [0])
    assert ledger.counts() == Counts(complete=0, pruned=0, failed=0, running=1, waiting=2)
    again = take(ledger)
    assert (again.number, again.params) == (0, {TEMPERATURE: value})
    assert take(ledger).number == 2
    assert ledger.next_assignment() is None
    assert len(trials_of(any_url)) == 3


def test_a_lease_that_ran_out_frees_a_trial_whose_driver_cannot_be_seen(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(time=lambda: 1000.0)
    monkeypatch.setattr(ownership, "time", clock)
    elsewhere = Owner(machine="another-machine", process=1, born=0.0)
    first = Ledger(experiment(NO_BASELINES), url)
    first.owner = elsewhere
    given = take(first)
    second = Ledger(experiment(NO_BASELINES), url)
    assert second.running() == {given.number}
    clock.time = lambda: 1000.0 + ownership.LEASE_SECONDS + 1
    assert second.running() == set()
    again = take(second)
    assert (again.number, again.params) == (given.number, given.params)
    # The first wakes up: what it no longer holds it can neither give back nor prolong, nor get a verdict on.
    assert first.report(given.number, rung(2, 0.5)) is None
    assert trials_of(url)[0].intermediate_values == {}
    first.release(given.number)
    assert trials_of(url)[0].state == TrialState.RUNNING
    assert Owner.read(trials_of(url)[0].user_attrs[LEASE]["owner"]) == second.owner


@pytest.mark.parametrize("another", ["PID namespace", "clock"])
def test_a_process_is_known_by_its_namespace_and_not_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, another: str
) -> None:
    owner = Owner.this_process()
    if another == "PID namespace":  # as in a second container on this host, where this number is nobody's
        monkeypatch.setattr(ownership, "_PID_NAMESPACE", tmp_path)
        assert Owner.this_process().machine != owner.machine
        owner = Owner(owner.machine, process=2**22, born=0.0)
    else:  # set forward by an hour: what a wall clock says of the time of birth goes with it
        monkeypatch.setattr(psutil.Process, "create_time", lambda self: time.time() + 3600)
    assert not owner.is_surely_dead()


def test_leases_are_renewed_while_the_driver_lives(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr("hybridbatch.search.renewal.LEASE_SECONDS", 0.4)
    ledger = Ledger(experiment(NO_BASELINES), url)
    take(ledger)
    before = trials_of(url)[0].user_attrs[LEASE]["until"]
    ledger.keep_leases()
    for _ in range(100):
        if trials_of(url)[0].user_attrs[LEASE]["until"] > before:
            break
        time.sleep(0.05)
    assert trials_of(url)[0].user_attrs[LEASE]["until"] > before
    ledger.close()
    assert trials_of(url)[0].state == TrialState.WAITING


def test_a_trial_given_back_is_asked_again_as_it_was(any_url: str) -> None:
    ledger = Ledger(experiment(NO_BASELINES), any_url)
    given = [take(ledger) for _ in range(3)]
    ledger.release(1)
    ledger.release(1)
    assert trials_of(any_url)[1].state == TrialState.WAITING
    assert ledger.counts() == Counts(complete=0, pruned=0, failed=0, running=2, waiting=1)
    again = take(ledger)
    assert (again.number, again.params) == (1, given[1].params)
    assert ledger.next_assignment() is None


@pytest.mark.parametrize("sampler", [{"kind": "random"}, TPE])
@pytest.mark.parametrize("drawn", [0, 1])
def test_a_trial_whose_driver_died_while_asking_gets_the_values_it_would_have_got(
    url: str, twin: str, sampler: dict[str, Any], drawn: int
) -> None:
    changes = {"search.space": TWO_PARAMS, "search.sampler": sampler, "search.trials": 6, **NO_BASELINES}
    ledgers = [Ledger(experiment(changes), where) for where in (url, twin)]
    for ledger in ledgers:
        for number in range(4):
            ledger.tell(result(take(ledger).number, values=(0.1 * number,)))
    half = ledgers[0].study.ask()  # no lease, and values only so far as the driver came
    if drawn:
        half.suggest_float(TEMPERATURE, 0.02, 0.2, log=True)
    assert Ledger(experiment(changes), url).unfinished() == [4]
    completed, usual = take(Ledger(experiment(changes), url)), take(ledgers[1])
    assert (completed.number, completed.params) == (usual.number, usual.params)
    assert set(completed.params) == set(TWO_PARAMS)


# --- what is told ------------------------------------------------------------------------------------------------


def test_telling_twice_changes_nothing(any_url: str) -> None:
    ledger = Ledger(experiment(), any_url)
    for _ in range(3):
        take(ledger)
    ledger.report(1, rung(2, 0.3))
    outcomes = [
        result(0, values=(0.7,)),
        result(1, "pruned", reason="not among the best at step 2"),
        result(2, "failed", reason="the loss is not finite at step 3"),
    ]
    for outcome in outcomes:
        ledger.tell(outcome)
    first = trials_of(any_url)
    assert [trial.state for trial in first] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert first[0].values == [0.7]
    assert first[1].intermediate_values == {2: 0.3}
    assert [trial.user_attrs.get("reason") for trial in first] == [outcome.reason for outcome in outcomes]
    other = Ledger(experiment(), any_url)
    for outcome in outcomes:
        other.tell(outcome.model_copy(update={"values": (0.1,), "state": "complete"}))
        other.release(outcome.number)
    assert trials_of(any_url) == first
    assert ledger.counts() == Counts(complete=1, pruned=1, failed=1, running=0, waiting=1)
    assert sum(vars(ledger.counts()).values()) == ledger.plan.total


def test_a_result_that_was_written_while_the_trial_was_given_back_is_told(url: str) -> None:
    ledger = Ledger(experiment(), url)
    take(ledger)
    ledger.release(0)
    ledger.tell(result(0, values=(0.4,)))
    assert (trials_of(url)[0].state, trials_of(url)[0].values) == (TrialState.COMPLETE, [0.4])


def test_two_objectives_are_told_both_and_pruned_trials_stop_no_sampler(url: str) -> None:
    changes = {"search.objectives": TWO_OBJECTIVES, "search.sampler": TPE, "search.pruner": ASHA, "search.trials": 9}
    ledger = Ledger(experiment({**changes, **NO_BASELINES}), url)
    verdicts = []
    for number in range(8):
        assert take(ledger).number == number
        verdicts.append(ledger.report(number, rung(2, 0.8 - 0.1 * number, rank_distance=20.0)))
        if verdicts[-1]:
            ledger.tell(result(number, values=(0.8 - 0.1 * number, 20.0 + number)))
        else:
            ledger.tell(result(number, "pruned", reason="not among the best at step 2"))
    assert verdicts == [True] + 7 * [False]
    states = [trial.state for trial in trials_of(url)]
    assert states == [TrialState.COMPLETE] + 7 * [TrialState.PRUNED]
    assert trials_of(url)[0].values == [0.8, 20.0]
    assert ledger.study.metric_names == [objective["metric"] for objective in TWO_OBJECTIVES]
    assert take(ledger).number == 8


# --- verdicts ----------------------------------------------------------------------------------------------------
