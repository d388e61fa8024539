"""What samplers learn from earlier studies: which trials, and that it is learnt once and for all."""

from __future__ import annotations

import json
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.earlier_studies import SEARCHED, earlier, later, outcome, run, value_of
from tests.ledger_fixtures import RATE, TEMPERATURE, TWO_PARAMS, take, trials_of
from tests.small_study import experiment, result, rung

from hybridbatch.foundation.errors import UserError
from hybridbatch.search import warm_start
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.warm_start import WARM_START
from hybridbatch.spec.taken import Learnt, LearntTrials, Taken
from hybridbatch.spec.warm_start import WarmStart

LEARNERS = [
    {"kind": "tpe", "startup_trials": 3},
    {"kind": "gp", "startup_trials": 3},
    {"kind": "cma-es", "population": 4},
    {"kind": "nsga2", "population": 3},
]
finite = st.floats(allow_nan=False, allow_infinity=False)  # as all that is searched
mixed = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), finite, st.text(max_size=5))


@pytest.mark.parametrize("sampler", LEARNERS, ids=lambda one: one["kind"])
def test_samplers_learn_once_and_for_all_whatever_becomes_of_the_earlier_study(
    url: str, twin: str, sampler: dict[str, Any]
) -> None:
    """Interrupted after each trial, with the earlier study growing and then gone: the same values to the bit."""
    for where in (url, twin):
        earlier(where)
    made = later({"points": 1, "learn": True}, search__sampler=sampler, search__trials=8)
    steady = run(made, twin, pruned=3)
    given: list[dict[str, Any]] = []
    for number in range(8):
        given += run(made, url, most=1)[:1] if number % 3 != 2 else pruned_one(made, url)
        if number == 1:
            run(experiment({**SEARCHED, "search.trials": 20}, name="before"), url)
        if number == 4:
            optuna.delete_study(study_name="before", storage=url)
    assert given == steady
    cold = experiment(
        {**SEARCHED, "search.sampler": sampler, "search.trials": 8, "search.enqueue": [steady[0]]}, "cold"
    )
    assert run(cold, twin, pruned=3)[0] == steady[0]
    assert [trial.params for trial in trials_of(twin, "cold")] != steady, "nothing was learnt"


def pruned_one(made: Any, url: str) -> list[dict[str, Any]]:
    ledger = Ledger(made, url)
    one = take(ledger)
    ledger.tell(outcome(one.number, one.params, pruned=True))
    ledger.close()
    return [one.params]


@pytest.mark.parametrize("sampler", [LEARNERS[0], LEARNERS[1]], ids=lambda one: one["kind"])
def test_what_is_learnt_is_of_use(url: str, twin: str, sampler: dict[str, Any]) -> None:
    gained = []
    for seed in range(4):
        name = f"before{seed}"
        earlier(url, name, search__seed=seed + 100, search__trials=24)
        change = {**SEARCHED, "search.sampler": sampler, "search.seed": seed, "search.trials": 3}
        cold = run(experiment(change, name=f"cold{seed}"), url)
        entries = [{"study": name, "learn": True}]
        warm = run(experiment({**change, "search.warm_start": entries}, name=f"warm{seed}"), url)
        gained.append(sum(map(value_of, warm)) - sum(map(value_of, cold)))
    assert sum(gained) > 0


def test_earlier_trials_are_none_of_this_study(url: str) -> None:
    earlier(url)
    made = later(
        {"learn": True},
        search__sampler=LEARNERS[0],
        search__pruner={"kind": "median", "minimum_trials": 2, "minimum_steps": 2},
        search__stop={"improvement": 100, "minimum_trials": 5},
    )
    ledger = Ledger(made, url)
    assert len(ledger.taken.learnt()) == 12
    assert ledger.counts().waiting == 12
    assert ledger.all_attempts() == []
    assert ledger.spent().hours == 0
    assert trials_of(url) == []
    assert take(ledger).number == 0
    assert ledger.report(0, rung(2, 0.0001)), "the pruner compares with trials of this study"
    for number in range(5):
        ledger.tell(outcome(number, take(ledger).params if number else trials_of(url)[0].params))
        assert ledger.stopped() is None
        assert len(trials_of(url)) == number + 1
    assert ledger.next_assignment() is None, "five trials of this study are over"
    stopped = ledger.stopped()
    assert stopped is not None
    assert stopped["trials"] == 5
    assert [trial.number for trial in trials_of(url)] == list(range(5))
    ledger.close()


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"training.steps": 8}, "training.steps: 8 (here 6)"),
        ({"training.seed": 4, "batches.size": 4, "training.steps": 8}, "and 1 more"),
        ({"backbone.width": 32}, "backbone.width: 32 (here 16)"),
        ({"search.objectives": [{"metric": "map_mono"}]}, "search.objectives"),
        ({"search.constraints": [{"metric": "map_mono", "at_least": 0.1}]}, "search.constraints"),
    ],
)
def test_values_that_do_not_compare_are_refused_with_what_differs(
    url: str, changes: dict[str, Any], seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_start, "_MOST_DIFFERENCES", 2)
    made = experiment({**SEARCHED, **changes}, name="before")
    ledger = Ledger(made, url)
    take(ledger)
    values = tuple(0.5 for _ in made.search.objectives)
    ledger.tell(result(0, values=values).model_copy(update={"rungs": (rung(6, 0.5, map_mono=0.2),)}))
    ledger.close()
    with pytest.raises(UserError, match="do not compare") as refused:
        Ledger(later({"learn": True}, search__sampler=LEARNERS[0]), url)
    assert refused.value.path == "search.warm_start.0.learn"
    assert seen in refused.value.render()
    assert "take its points alone" in refused.value.render()
    assert optuna.get_all_study_names(url) == ["before"], "no study is made that could not be mended under its name"
    assert Ledger(later({"points": 1}), url).taken.studies[0].points


def test_names_questions_sizes_resources_and_report_sets_may_differ(url: str) -> None:
    earlier(url, question="another", resources__workers=2, data__report=[], search__seed=3)
    ledger = Ledger(later({"learn": True}, search__sampler=LEARNERS[0]), url)
    assert len(ledger.taken.learnt()) == 12


def test_trials_compare_one_by_one_where_other_paths_are_searched(url: str) -> None:
    """There temperature and size are searched, here temperature and rate: those of this size and range count."""
    space = {TEMPERATURE: TWO_PARAMS[TEMPERATURE], "batches.size": {"choice": [8, 4]}}
    earlier(url, search__space=space, search__baselines={"seeded": {"training.seed": 7, "training.steps": 6}})
    there = [one for one in trials_of(url, "before") if one.number > 0]
    middle = sorted(one.params[TEMPERATURE] for one in there)[6]
    here = {TEMPERATURE: {"log_uniform": [0.02, middle]}, RATE: {"log_uniform": [1e-4, 0.1]}}
    taken = Ledger(later({"learn": True}, search__sampler=LEARNERS[0], search__space=here), url).taken
    same = [one for one in there if one.params["batches.size"] == 8 and one.params[TEMPERATURE] <= middle]
    assert 0 < len(same) < 12
    assert [one.number for one in taken.learnt()] == [one.number for one in same]
    assert {one.params[RATE] for one in taken.learnt()} == {0.01}, "the value of the file there"
    (entry,) = taken.entries()
    whys = {one["why"]: one["count"] for one in entry["learnt_left_out"]}
    assert whys["training.seed is not 0 there"] == 1
    assert whys["batches.size is not 8 there"] == sum(one.params["batches.size"] == 4 for one in there)
    assert sum(whys.values()) + len(same) == entry["finished"] == 13


def test_a_weight_without_its_complement_does_not_compare(url: str) -> None:
    mix = "batches.mix.monolingual"
    with_complement = {mix: {"uniform": [0, 1], "complement": "batches.mix.crosslingual"}}
    earlier(url, search__space=with_complement, search__trials=4)
    earlier(url, "alone", search__space={mix: {"uniform": [0.1, 1]}}, search__trials=4)
    sampler = {"kind": "tpe", "startup_trials": 3}
    entries = [{"study": name, "learn": True, "points": 1} for name in ("before", "alone")]
    changes = {**SEARCHED, "search.space": with_complement, "search.sampler": sampler, "search.warm_start": entries}
    both, alone = Ledger(experiment(changes), url).taken.studies
    assert len(both.learnt) == 4
    assert len(alone.learnt) == 0
    assert [one.why for one in alone.learnt_left_out] == ["a complement that is not one minus its value"]


def test_of_very_many_trials_some_from_everywhere_are_learnt(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_start, "MOST_LEARNT", 5)
    earlier(url)
    taken = Ledger(later({"learn": True}, search__sampler=LEARNERS[0]), url).taken
    assert [one.number for one in taken.learnt()] == [0, 2, 4, 7, 9]
    assert [one.count for one in taken.studies[0].learnt_left_out] == [7]


# --- the record --------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(
            Learnt,
            number=st.integers(0, 10**6),
            pruned=st.booleans(),
            baseline=st.booleans(),
            values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=2).map(tuple),
            step=st.integers(0, 10**6),
            excess=st.dictionaries(st.sampled_from("ab"), st.floats(allow_nan=False)),
            params=st.fixed_dictionaries({"x": mixed, "y": finite}),
        ),
        max_size=5,
    )
)
def test_what_was_learnt_comes_back_from_the_ledger_to_the_bit(trials: list[Learnt]) -> None:
    written = json.dumps(json.loads(LearntTrials.of(trials).model_dump_json()))
    read = list(LearntTrials.model_validate_json(written).each())
    assert read == trials
    kinds = [[{path: type(one) for path, one in trial.params.items()} for trial in some] for some in (read, trials)]
    assert kinds[0] == kinds[1]


def test_the_record_in_the_ledger_is_small(url: str) -> None:
    earlier(url, search__trials=60)
    Ledger(later({"points": 5, "learn": True}, search__sampler=LEARNERS[0]), url).close()
    held = json.dumps(optuna.load_study(study_name="small", storage=url).user_attrs[WARM_START])
    assert len(held) < 60 * 100 + 3000
    assert Taken.model_validate_json(held).asked == (WarmStart(study="before", points=5, learn=True),)
