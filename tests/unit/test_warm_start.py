"""A study that begins with earlier ones: what it takes is taken once, and follows from the ledger alone."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from tests.earlier_studies import SEARCHED, earlier, later, run
from tests.ledger_fixtures import NO_BASELINES, RATE, TEMPERATURE, TWO_OBJECTIVES, TWO_PARAMS, take, trials_of
from tests.small_study import experiment, result, rung

from hybridbatch.foundation.errors import ExperimentErrors, UserError
from hybridbatch.search import warm_start
from hybridbatch.search.identity import CONTENT
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.opening import would_take
from hybridbatch.search.planned import planned_trials
from hybridbatch.spec.taken import NOTHING

LEARNER = {"kind": "tpe", "startup_trials": 3}
ENTRY = {"study": "before", "points": 2}


def delete(url: str, name: str = "before") -> None:
    optuna.delete_study(study_name=name, storage=url)


# --- what the file may ask for -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({"search.warm_start": [{"study": "before"}]}, "search.warm_start.0", "nothing is taken"),
        ({"search.warm_start": [ENTRY, ENTRY]}, "search.warm_start.1.study", "stands twice"),
        ({"search.warm_start": [{**ENTRY, "study": "small"}]}, "search.warm_start.0.study", "begin with itself"),
        ({"search.warm_start": [{**ENTRY, "study": "../x"}]}, "search.warm_start.0.study", "not of the form"),
        ({"search.warm_start": [{**ENTRY, "points": 101}]}, "search.warm_start.0.points", "less than or equal to 100"),
        ({"search.warm_start": [{**ENTRY, "best": 3}]}, "search.warm_start.0.best", "unknown key"),
        ({"search.warm_start": [ENTRY], "search.space": {}}, "search.warm_start", "nothing is searched"),
    ],
)
def test_what_nothing_can_be_taken_by_is_refused(changes: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(ExperimentErrors, match=problem) as refused:
        experiment({**SEARCHED, **changes})
    assert [error.path for error in refused.value.errors] == [path]


@pytest.mark.parametrize(
    ("kind", "entry", "path", "problem"),
    [
        ("random", {"learn": True}, "search.warm_start.0.learn", "learns from no trial"),
        ("qmc", {"learn": True}, "search.warm_start.0.learn", "learns from no trial"),
        ("grid", {"learn": True}, "search.warm_start.0.learn", "learns from no trial"),
        ("grid", {"points": 1}, "search.warm_start.0.points", "every point already"),
    ],
)
def test_samplers_that_do_not_learn_say_so(kind: str, entry: dict[str, Any], path: str, problem: str) -> None:
    space = {"batches.size": {"integer": [4, 8]}}
    with pytest.raises(ExperimentErrors, match=problem) as refused:
        later(entry, search__sampler={"kind": kind}, search__space=space, search__trials=None)
    assert [error.path for error in refused.value.errors] == [path]


def test_more_points_than_trials_are_refused() -> None:
    made = later({"points": 3}, search__enqueue=[{RATE: 0.001}], search__trials=3)
    with pytest.raises(UserError, match="more points are enqueued") as refused:
        planned_trials(made)
    assert (refused.value.path, refused.value.seen) == ("search.warm_start", "4 points, 3 trials")


# --- points ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_the_best_points_are_tried_first_as_trials_of_this_study(any_url: str, sampler: str) -> None:
    earlier(any_url)
    complete = [trial for trial in trials_of(any_url, "before") if trial.state == TrialState.COMPLETE]
    best = sorted(complete, key=lambda trial: -trial.value)[:3]  # type: ignore[operator]
    made = later(
        {"points": 3},
        search__baselines={"mono": {"loss.temperature": 0.1}},
        search__enqueue=[{TEMPERATURE: 0.05}],
        search__sampler={"kind": sampler},
        search__seed=1,
    )
    ledger = Ledger(made, any_url)
    assert ledger.counts().waiting == 1 + 12, "they are among the trials"
    given = [take(ledger) for _ in range(6)]
    assert [one.baseline for one in given] == ["mono"] + 5 * [None]
    assert given[1].params[TEMPERATURE] == 0.05
    assert [one.params for one in given[2:5]] == [trial.params for trial in best]
    assert given[5].params not in [trial.params for trial in complete]
    (entry,) = ledger.taken.entries()
    assert [(point["trial"], point["number"]) for point in entry["points"]] == [
        (2 + index, trial.number) for index, trial in enumerate(best)
    ]
    assert [point["values"] for point in entry["points"]] == [[trial.value] for trial in best]
    assert (entry["learnt"], entry["finished"]) == ([], 12)
    ledger.close()


def test_constraints_are_kept_equal_points_are_tried_once_and_those_outside_are_left_out(url: str) -> None:
    bounded = [{"metric": "rank_distance", "at_most": 100}]
    made = experiment({**SEARCHED, "search.constraints": bounded}, name="before")
    ledger = Ledger(made, url)
    drawn = {}
    # number -> (value, rank distance): 5 is the best that keeps to the bound, then 4, 3, 2
    told = {0: (0.9, 500.0), 1: (0.1, 50.0), 2: (0.2, 50.0), 3: (0.3, 50.0), 4: (0.4, 50.0), 5: (0.5, 50.0)}
    for number, (value, distance) in told.items():
        drawn[number] = take(ledger).params
        one = result(number, values=(value,)).model_copy(update={"rungs": (rung(6, value, rank_distance=distance),)})
        ledger.tell(one)
    ledger.close()
    low = drawn[4][TEMPERATURE] * 1.0001  # so that 4 lies outside, and whatever else is as cold
    inside = [number for number in (5, 3, 2, 1) if drawn[number][TEMPERATURE] >= low]
    assert inside
    space = {**TWO_PARAMS, TEMPERATURE: {"log_uniform": [low, 0.2]}}
    if drawn[5][TEMPERATURE] >= low:  # stands under enqueue already
        inside.remove(5)
    study = later(
        {"points": 3}, search__space=space, search__enqueue=[drawn[5]] if drawn[5][TEMPERATURE] >= low else []
    )
    (entry,) = Ledger(study, url).taken.entries()
    assert [point["number"] for point in entry["points"]] == inside[:3]
    whys = {one["why"]: one["trials"] for one in entry["points_left_out"]}
    assert 4 in whys[f"{TEMPERATURE} outside this search space"]
    assert 0 not in [number for numbers in whys.values() for number in numbers], "no candidate: it breaks the bound"


def test_with_several_objectives_points_come_in_pareto_order(url: str) -> None:
    made = experiment({**SEARCHED, "search.objectives": TWO_OBJECTIVES}, name="before")
    ledger = Ledger(made, url)
    # the front is 1 (0.9, 50), 3 (0.5, 10) and 2 (0.6, 12); 0 and 4 stand behind it
    for number, values in enumerate([(0.4, 60.0), (0.9, 50.0), (0.6, 12.0), (0.5, 10.0), (0.3, 70.0)]):
        take(ledger)
        ledger.tell(result(number, values=values))
    for points, numbers in ((2, [1, 3]), (4, [1, 3, 2, 0])):
        taken = warm_start.take(later({"points": points}), ledger.storage)
        assert [point.number for point in taken.studies[0].points] == numbers
    ledger.close()


def test_a_point_has_the_values_that_its_trial_had_also_where_nothing_was_searched(url: str) -> None:
    """A baseline's values, and those of the file, are points of a space that is searched here."""
    earlier(
        url,
        search__space={TEMPERATURE: TWO_PARAMS[TEMPERATURE]},
        search__baselines={"warm": {TEMPERATURE: 0.0812}},
        training__learning_rate=0.001,
        search__trials=3,
    )
    ledger = Ledger(later({"points": 4}), url)
    points = [dict(point) for point in ledger.taken.points.values()]
    assert all(point[RATE] == 0.001 for point in points)
    assert {TEMPERATURE: 0.0812, RATE: 0.001} in points
    assert [take(ledger).params for _ in points] == points


def test_choices_and_whole_numbers_are_taken_in_their_own_type(url: str) -> None:
    space = {"batches.size": {"integer": [4, 16]}, "training.early_stopping.patience": {"choice": [2, 3]}}
    before = {"training.early_stopping": {"patience": 2}, "search.space": space}
    made = experiment({**NO_BASELINES, **before, "search.trials": 3}, name="before")
    run(made, url)
    ledger = Ledger(experiment({**NO_BASELINES, **before, "search.warm_start": [ENTRY]}), url)
    for point in ledger.taken.points.values():
        assert [type(one) for one in point.values()] == [int, int]
    assert take(ledger).params == dict(next(iter(ledger.taken.points.values())))


# --- studies that are not there, not ours, or gone ---------------------------------------------------------------


def test_a_study_that_is_not_there_is_refused_with_names_that_are_close(url: str) -> None:
    earlier(url, "befor")
    for look in (lambda: Ledger(later({"points": 1}), url), lambda: would_take(later({"points": 1}), url, NOTHING)):
        with pytest.raises(UserError, match="no such study") as refused:
            look()
        assert refused.value.path == "search.warm_start.0.study"
        assert (refused.value.allowed, refused.value.remedy) == ("befor", "did you mean 'befor'?")
    assert optuna.get_all_study_names(url) == ["befor"]


def test_a_study_without_anything_to_take_is_refused(url: str) -> None:
    made = experiment(SEARCHED, name="before")
    take(Ledger(made, url))
    with pytest.raises(UserError, match="nothing to take") as refused:
        Ledger(later({"points": 2}), url)
    assert "before: 0 finished trials" in str(refused.value.seen)


def test_looking_makes_no_ledger_and_changes_none(url: str, tmp_path: Any) -> None:
    missing = tmp_path / "not_there.db"
    with pytest.raises(UserError, match="no such study") as refused:
        would_take(later({"points": 1}), f"sqlite:///{missing}", NOTHING)
    assert refused.value.allowed == "none yet"
    assert not missing.exists()
    earlier(url)
    made = later({"points": 1})
    looked = would_take(made, url, NOTHING)
    assert optuna.get_all_study_names(url) == ["before"]
    assert Ledger(made, url).taken == looked
    delete(url)
    assert would_take(made, url, NOTHING) == looked
    assert would_take(experiment(SEARCHED), url, looked) == NOTHING


def test_a_study_of_an_older_version_gives_points_and_after_a_look_at_it_trials(url: str) -> None:
    before = earlier(url)
    study = optuna.load_study(study_name="before", storage=url)
    storage = study._storage
    storage.set_study_user_attr(study._study_id, CONTENT, None)
    made = later({"learn": True}, search__sampler=LEARNER)
    with pytest.raises(UserError, match="does not say what this study was") as refused:
        Ledger(made, url)
    assert "hybridbatch status before" in str(refused.value.remedy)
    points = warm_start.take(later({"points": 3}), storage).points
    storage.set_study_user_attr(study._study_id, CONTENT, before.model_dump_json(exclude={"stores"}))
    assert warm_start.take(later({"points": 3}), storage).points == points
    assert len(Ledger(made, url).taken.learnt()) == 12


def test_a_ledger_made_anew_takes_what_the_folder_says(url: str, twin: str) -> None:
    earlier(url)
    made = later({"points": 2, "learn": True}, search__sampler=LEARNER, search__trials=6)
    first = Ledger(made, url)
    given = [take(first).params for _ in range(6)]
    anew = Ledger(made, twin, first.taken)
    assert [take(anew).params for _ in range(6)] == given
    other = later({"points": 3, "learn": True}, search__sampler=LEARNER, search__trials=6)
    with pytest.raises(UserError, match="another experiment"):  # what was asked for then is part of it
        Ledger(other, twin, first.taken)


def test_an_extension_keeps_what_was_taken_and_leaves_out_what_lies_outside(url: str) -> None:
    earlier(url)
    made = later({"points": 3, "learn": True}, search__sampler=LEARNER)
    ledger = Ledger(made, url)
    given = take(ledger)
    narrow = {**TWO_PARAMS, TEMPERATURE: {"log_uniform": [0.02, 0.0201]}}
    extended = later({"points": 3, "learn": True}, search__sampler=LEARNER, search__space=narrow)
    ledger.extend(extended)
    ledger.close()
    delete(url)
    after = Ledger(extended, url)
    assert after.taken == ledger.taken
    again = take(after)
    assert (again.number, again.params) == (given.number, given.params), "it was begun"
    for _ in range(3):
        assert 0.02 <= take(after).params[TEMPERATURE] <= 0.0201
