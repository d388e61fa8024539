"""The end of a search from which little can still be gained: decided once, by every driver alike."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import CommandLine
from tests.ledger_fixtures import NO_BASELINES, RATE, TEMPERATURE, TWO_OBJECTIVES, TWO_PARAMS, take, trials_of
from tests.small_study import experiment, result, rung, write_file

from hybridbatch.foundation.errors import ExperimentErrors
from hybridbatch.search.ledger import Ledger
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.trial import TrialResult

CHANGES: dict[str, Any] = {**NO_BASELINES, "search.space": TWO_PARAMS, "search.trials": 60}


def stopping(improvement: float, minimum: int = 10, **more: Any) -> Experiment:
    stop = {"improvement": improvement, "minimum_trials": minimum}
    return experiment({**CHANGES, "search.stop": stop, **{key.replace("__", "."): one for key, one in more.items()}})


def outcome(number: int, params: dict[str, Any]) -> TrialResult:
    """Return the outcome of a trial: 0.9 at best, where the temperature is 0.08 and the rate is 0.001."""
    off = math.log10(params[TEMPERATURE] / 0.08) ** 2 + 0.3 * math.log10(params[RATE] / 0.001) ** 2
    value = 0.9 - 0.2 * off
    return result(number, values=(value,)).model_copy(update={"rungs": (rung(6, value),)})


def search(study: Experiment, url: str, restarts: bool = False, most: int = 100) -> list[dict[str, Any]]:
    """Run trials until none is handed out; return their values."""
    ledger, given = Ledger(study, url), []
    while len(given) < most and (one := ledger.next_assignment()) is not None:
        given.append(one.params)
        ledger.tell(outcome(one.number, one.params))
        ledger = Ledger(study, url) if restarts else ledger
    return given


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({"search.stop": {}}, "search.stop.improvement", "missing"),
        ({"search.stop": {"improvement": 0}}, "search.stop.improvement", "greater than 0"),
        ({"search.stop": {"improvement": 0.1, "minimum_trials": 2}}, "search.stop.minimum_trials", "or equal to 5"),
        (
            {"search.stop": {"improvement": 0.1}, "search.objectives": TWO_OBJECTIVES},
            "search.stop",
            "no single best value",
        ),
        ({"search.stop": {"improvement": 0.1}, "search.space": {}}, "search.stop", "nothing is searched"),
    ],
)
def test_what_cannot_end_a_search_is_refused(changes: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(ExperimentErrors, match=problem) as refused:
        experiment(changes)
    assert [error.path for error in refused.value.errors] == [path]


def test_a_search_ends_where_little_can_be_gained_and_not_before(url: str, twin: str) -> None:
    ended = search(stopping(0.015), url)
    assert 10 <= len(ended) < 60
    ledger = Ledger(stopping(0.015), url)
    decision = ledger.stopped()
    assert decision is not None
    assert 0 <= decision["bound"] < 0.015 == decision["improvement"]
    assert (decision["trials"], ledger.not_begun()) == (len(ended), 60 - len(ended))
    best = max(trial.value or 0.0 for trial in trials_of(url))
    assert 0.9 - best <= decision["bound"], "what is promised holds: the maximum is 0.9"
    assert len(search(stopping(1e-9), twin, most=len(ended) + 2)) == len(ended) + 2


def test_restarts_and_other_drivers_end_it_at_the_same_trial(url: str, twin: str) -> None:
    assert search(stopping(0.015), url, restarts=True) == search(stopping(0.015), twin)
    first, second = (Ledger(stopping(0.015), one).stopped() for one in (url, twin))
    assert first is not None
    assert second is not None
    assert {**first, "at": ""} == {**second, "at": ""}
    before = json.dumps(first)
    assert Ledger(stopping(0.015), url).next_assignment() is None
    assert json.dumps(Ledger(stopping(0.015), url).stopped()) == before, "it is decided once"


def test_what_runs_ends_and_a_stricter_rule_goes_on(url: str) -> None:
    driver = Ledger(stopping(0.015), url)
    at_work = take(driver)
    given = search(stopping(0.015), url)
    assert len(given) < 59
    driver.release(at_work.number)
    assert take(driver).number == at_work.number, "it was begun"
    driver.tell(outcome(at_work.number, at_work.params))
    assert driver.next_assignment() is None
    stricter = Ledger(stopping(1e-9), url)
    assert stricter.stopped() is None
    assert take(stricter).number == len(given) + 1
    assert Ledger(stopping(0.015), url).next_assignment() is None
    assert Ledger(experiment(CHANGES), url).stopped() is None


def test_trials_that_break_a_constraint_do_not_end_it(url: str, twin: str) -> None:
    """Ten trials that are all but alike: nothing could be gained if they counted."""
    bounded = [{"metric": "rank_distance", "at_most": 400}]
    for where, distance, ends in ((url, 100.0, True), (twin, 900.0, False)):
        ledger = Ledger(stopping(0.015, search__constraints=bounded), where)
        for number in range(10):
            take(ledger)
            told = result(number, "complete", (0.5 + number % 3 * 1e-4,))
            ledger.tell(told.model_copy(update={"rungs": (rung(6, 0.5, rank_distance=distance),)}))
        assert (ledger.next_assignment() is None) is ends


def test_the_commands_say_why_and_how_to_go_on(home: HomeFolder, tmp_path: Path, command_line: CommandLine) -> None:
    at_home = ("--home", home.path)
    changes = {**NO_BASELINES, "training.steps": 2, "search.trials": 7, "search.space": TWO_PARAMS}
    file = write_file(tmp_path, {**changes, "search.stop": {"improvement": 100, "minimum_trials": 5}})
    assert "after 5 complete trials, less than 100 can still be gained" in command_line("plan", file, *at_home).out
    said = command_line("run", file, *at_home, "--local")
    assert said.code == 0, said
    assert "can still be gained, less than 100: 2 planned trials were not begun. To go on, lower" in said.out
    state = command_line("status", "small", *at_home, "--json").json
    assert (state["trials"]["complete"], state["not_begun"], state["stopped"]["trials"]) == (5, 2, 5)
    assert "go on with" not in command_line("status", "small", *at_home).out
    resumed = command_line("resume", "small", *at_home, "--local")
    assert "2 planned trials were not begun" in resumed.out
    assert command_line("extend", "small", "--file", write_file(tmp_path, changes), *at_home).code == 0
    assert command_line("resume", "small", *at_home, "--local").code == 0
    state = command_line("status", "small", *at_home, "--json").json
    assert (state["trials"]["complete"], state["not_begun"], state["stopped"]) == (7, 0, None)
