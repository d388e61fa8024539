"""Contenders run again with further seeds: who they are is decided once, when the search is over, for every driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.earlier_studies import SEARCHED, outcome, value_of
from tests.ledger_fixtures import RATE, TEMPERATURE, TWO_OBJECTIVES, TWO_PARAMS, take, trials_of
from tests.small_study import experiment, result, rung

from hybridbatch.foundation.errors import ExperimentErrors, UserError
from hybridbatch.search.assignment import Assignment, Begun
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.planned import REPLICATE
from hybridbatch.search.replicates import REPLICATES
from hybridbatch.search.warm_start import take as take_from
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.trial import TrialResult

TWICE = {"contenders": 2, "seeds": [1, 2]}


def study(**changes: Any) -> Experiment:
    more = {key.replace("__", "."): one for key, one in changes.items()}
    return experiment({**SEARCHED, "search.trials": 5, "search.replicates": TWICE, **more})


def search(ledger: Ledger, most: int = 100, value: Callable[[Assignment], float] | None = None) -> list[Assignment]:
    """Run trials until none is handed out; return them."""
    given: list[Assignment] = []
    while len(given) < most and (one := ledger.next_assignment()) is not None:
        given.append(one)
        told = outcome(one.number, one.params)
        if value is not None:
            told = told.model_copy(update={"values": (value(one),)})
        ledger.tell(told)
    return given


def best_numbers(given: list[Assignment], count: int) -> list[int]:
    searched = [one for one in given if one.replicate_of is None and one.baseline is None]
    return [one.number for one in sorted(searched, key=lambda one: -value_of(one.params))][:count]


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({"search.replicates": {**TWICE, "contenders": 0}}, "search.replicates.contenders", "greater than or equal"),
        ({"search.replicates": {**TWICE, "seeds": []}}, "search.replicates.seeds", "too short"),
        ({"search.replicates": {**TWICE, "seeds": [1, 1]}}, "search.replicates.seeds", "stands twice"),
        ({"search.replicates": {**TWICE, "seeds": [0, 1]}}, "search.replicates.seeds", "have this seed"),
        ({"search.space": {"training.seed": {"choice": [3, 4]}}}, "search.replicates", "searched already"),
        ({"search.space": {}, "search.trials": None}, "search.replicates", "nothing is searched"),
    ],
)
def test_what_cannot_be_repeated_is_refused(changes: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(ExperimentErrors, match=problem) as refused:
        experiment({**SEARCHED, "search.replicates": TWICE, **changes})
    assert [error.path for error in refused.value.errors] == [path]


def test_the_best_run_again_seed_by_seed_with_numbers_after_those_of_the_search(any_url: str) -> None:
    baselines = {"mono": {TEMPERATURE: 0.08, RATE: 0.001}}
    ledger = Ledger(study(search__baselines=baselines, search__baseline_seeds=[1]), any_url)
    assert ledger.counts().waiting == 1 + 5 + 4
    given = search(ledger)
    first, second = best_numbers(given, 2)
    assert [one.number for one in given] == list(range(10))
    assert [one.replicate_of for one in given] == 6 * [None] + [first, second, first, second], "no baseline contends"
    for one, seed in zip(given[6:], (1, 1, 2, 2), strict=True):
        assert one.replicate_of is not None
        assert not isinstance(one.experiment, UserError)
        of = given[one.replicate_of]
        assert one.params == of.params
        assert not isinstance(of.experiment, UserError)
        assert one.experiment.training.seed == seed
        assert of.experiment.training.seed == 0
        same = one.experiment.model_copy(update={"training": of.experiment.training})
        assert same == of.experiment, "all but the seed is as it was"
    marks = [trial.user_attrs.get(REPLICATE) for trial in trials_of(any_url)]
    assert marks[6:] == [{"of": of, "seed": seed} for seed in (1, 2) for of in (first, second)]
    assert marks[:6] == 6 * [None]
    assert trials_of(any_url)[6].params == given[first].params
    assert ledger.next_assignment() is None
    assert not ledger.later
    counts = ledger.counts()
    assert (counts.complete, counts.waiting, ledger.not_begun()) == (10, 0, 0)
    ledger.close()


def test_a_driver_waits_for_what_is_searched_in_other_hands(any_url: str) -> None:
    one, other = Ledger(study(), any_url), Ledger(study(), any_url)
    at_work = take(other)
    given = search(one)
    assert len(given) == 4
    assert one.later, "one trial still runs: it may contend"
    assert one.next_assignment() is None
    other.tell(result(at_work.number, values=(5.0,)))
    again = [take(one), take(other), take(one), take(other)]
    assert [trial.replicate_of for trial in again][::2] == 2 * [at_work.number]
    assert one.next_assignment() is None
    assert not one.later, "what is left is in other hands"
    assert other.next_assignment() is None
    other.release(again[1].number)
    assert take(one).number == again[1].number
    for ledger in (one, other):
        ledger.close()


def test_without_replicates_nobody_waits(url: str) -> None:
    one, other = (Ledger(study(search__replicates=None), url) for _ in range(2))
    take(other)
    search(one)
    assert not one.later


def test_restarts_and_several_drivers_change_nothing(url: str, twin: str) -> None:
    steady = search(Ledger(study(), twin))
    given: list[Assignment] = []
    while len(given) < len(steady):
        first, second = Ledger(study(), url), Ledger(study(), url)
        given += search(first, most=1)
        second.close()
        interrupted = first.next_assignment()
        if interrupted is not None:
            first.release(interrupted.number)
        first.close()
    assert [(one.number, one.params, one.replicate_of) for one in given] == [
        (one.number, one.params, one.replicate_of) for one in steady
    ]


def test_a_ledger_made_anew_from_folders_has_the_same_contenders(url: str, twin: str) -> None:
    ended_early = study(search__trials=8, search__stop={"improvement": 100, "minimum_trials": 5})
    told = {one.number: one for one in search(Ledger(ended_early, url))}
    assert len(told) == 9
    folders = {
        number: Begun(params=one.params, finished=True, replicate_of=one.replicate_of) for number, one in told.items()
    }
    folders[6] = Begun()  # was deleted
    anew = Ledger(study(search__stop=None, search__trials=8), twin)
    given = []
    while (one := anew.next_assignment(lambda number: folders.get(number, Begun()))) is not None:
        given.append(one)
        anew.tell(outcome(one.number, one.params))
    assert [(one.number, one.params, one.replicate_of) for one in given] == [
        (one.number, one.params, one.replicate_of) for one in told.values()
    ]


def test_constraints_and_states_count_and_fewer_may_contend_than_asked_for(url: str) -> None:
    bounded = [{"metric": "rank_distance", "at_most": 100}]
    ledger = Ledger(study(search__constraints=bounded), url)
    outcomes: list[tuple[str, float, float]] = [
        ("complete", 0.9, 500.0),  # breaks the bound
        ("pruned", 0.8, 50.0),
        ("failed", 0.7, 50.0),
        ("complete", 0.2, 50.0),
        ("complete", float("nan"), 50.0),
    ]
    for number, (state, value, distance) in enumerate(outcomes):
        take(ledger)
        values = (value,) if state == "complete" else None
        told = result(number, state, values, reason="x")  # type: ignore[arg-type]
        ledger.tell(told.model_copy(update={"rungs": (rung(6, value, rank_distance=distance),)}))
    assert ledger.counts().waiting == 4, "as many as may be"
    assert [take(ledger).replicate_of for _ in range(2)] == [3, 3]
    assert ledger.next_assignment() is None
    assert not ledger.later
    assert (ledger.counts().waiting, ledger.counts().running) == (0, 2)
    ledger.close()


def test_where_nothing_is_complete_nothing_runs_again(url: str) -> None:
    ledger = Ledger(study(), url)
    for number in range(5):
        take(ledger)
        ledger.tell(result(number, "failed", reason="x"))
    assert ledger.next_assignment() is None
    assert not ledger.later
    assert ledger.counts().waiting == 0


def test_several_objectives_contend_in_pareto_order(url: str) -> None:
    ledger = Ledger(study(search__objectives=TWO_OBJECTIVES), url)
    # the front is 1 (0.9, 50), 3 (0.5, 10) and 2 (0.6, 12), of which 3 is the farthest from 1
    for number, values in enumerate([(0.4, 60.0), (0.9, 50.0), (0.6, 12.0), (0.5, 10.0), (0.3, 70.0)]):
        take(ledger)
        ledger.tell(result(number, values=values))
    assert [take(ledger).replicate_of for _ in range(4)] == [1, 3, 1, 3]


def test_replicates_are_never_pruned_and_nothing_is_compared_with_them(url: str) -> None:
    pruner = {"kind": "median", "minimum_trials": 2, "minimum_steps": 2}
    ledger = Ledger(study(search__pruner=pruner), url)
    for _ in range(5):
        one = take(ledger)
        ledger.report(one.number, rung(2, 0.5))
        ledger.tell(outcome(one.number, one.params))
    again = take(ledger)
    assert again.replicate_of is not None
    assert ledger.report(again.number, rung(2, 0.0001))
    assert ledger.report(again.number, rung(4, 0.0001))


def test_a_search_that_ends_early_is_over(url: str) -> None:
    ledger = Ledger(study(search__trials=20, search__stop={"improvement": 100, "minimum_trials": 6}), url)
    given = search(ledger)
    assert [one.replicate_of is None for one in given] == 6 * [True] + 4 * [False]
    assert (ledger.not_begun(), ledger.search_not_begun(), ledger.counts().waiting) == (14, 14, 14)
    assert ledger.next_assignment() is None


def test_a_spent_budget_ends_no_search_and_begins_no_replicate(url: str) -> None:
    spent = Ledger(study(search__budget={"hours": 1e-9}), url)
    spent.release(take(spent).number)  # an attempt that took its time
    one = take(spent)
    spent.tell(outcome(one.number, one.params))
    assert spent.next_assignment() is None
    assert not spent.later
    enough = Ledger(study(), url)
    assert len(search(enough, most=5)) == 5
    assert Ledger(study(search__budget={"hours": 1e-9}), url).next_assignment() is None
    assert len(search(enough)) == 3


def test_more_trials_before_it_is_decided_and_none_after(url: str) -> None:
    search(Ledger(study(search__replicates=None), url))
    search(Ledger(study(search__replicates=None, search__trials=7), url))
    given = search(Ledger(study(search__trials=8), url))  # replicates may be asked for later
    assert [one.replicate_of is None for one in given] == [True] + 4 * [False]
    for changed, path in (
        (study(search__trials=9), "search.trials"),
        (study(search__trials=7), "search.trials"),
        (study(search__trials=8, search__replicates=None), "search.replicates"),
        (study(search__trials=8, search__replicates={"contenders": 2, "seeds": [1, 2, 3]}), "search.replicates"),
    ):
        with pytest.raises(UserError, match="contend") as refused:
            Ledger(changed, url)
        assert refused.value.path == path
        assert "search.warm_start: [{study: small, points: 2, learn: true}]" in str(refused.value.remedy)
    assert Ledger(study(search__trials=8, search__budget={"hours": 5}), url).counts().waiting == 0


def test_a_driver_that_knows_of_no_extension_decides_nothing(url: str) -> None:
    old = Ledger(study(), url)
    assert len(search(old, most=5)) == 5
    more = study(search__trials=7)
    Ledger(study(), url).extend(more)
    assert old.next_assignment() is None
    assert not old.later
    assert old.contenders() is None
    assert [one.replicate_of is None for one in search(Ledger(more, url))] == 2 * [True] + 4 * [False]


def test_contenders_of_an_older_space_run_as_they_ran(url: str) -> None:
    mix = {"batches.mix.monolingual": {"uniform": [0, 1], "complement": "batches.mix.crosslingual"}}
    before = study(search__space={**TWO_PARAMS, **mix}, search__trials=2, search__replicates=None)
    ledger = Ledger(before, url)
    old = search(ledger)
    after = study(search__trials=4, search__replicates={"contenders": 4, "seeds": [9]})
    ledger.extend(after)
    given = search(Ledger(after, url))
    for one in given[2:]:
        assert not isinstance(one.experiment, UserError)
        assert one.experiment.training.seed == 9
        if one.replicate_of is not None and one.replicate_of < 2:
            mono = old[one.replicate_of].params["batches.mix.monolingual"]
            assert one.experiment.batches.mix == {"monolingual": mono, "crosslingual": 1 - mono}
    assert sorted(one.replicate_of for one in given[2:] if one.replicate_of is not None) == [0, 1, 2, 3]


def test_later_studies_take_nothing_from_replicates(url: str) -> None:
    ledger = Ledger(study(), url)

    def value(one: Assignment) -> float:
        return value_of(one.params) + (1.0 if one.replicate_of is not None else 0.0)

    given = search(ledger, value=value)
    entries = [{"study": "small", "points": 2, "learn": True}]
    changes = {**SEARCHED, "search.warm_start": entries, "search.sampler": {"kind": "tpe", "startup_trials": 3}}
    (taken,) = take_from(experiment(changes, name="after"), ledger.storage).studies
    assert [point.number for point in taken.points] == best_numbers(given, 2)
    assert taken.learnt.numbers == (0, 1, 2, 3, 4)
    assert taken.finished == 5
    ledger.close()


def test_the_decision_is_kept_once(url: str) -> None:
    ledger = Ledger(study(), url)
    search(ledger, most=6)
    held = dict(ledger.study.user_attrs[REPLICATES])
    other = Ledger(study(), url)
    search(other)
    assert other.study.user_attrs[REPLICATES] == held
    assert held["first"] == 5


def finished(number: int, of: int | None, seed: int, value: float) -> TrialResult:
    return result(number, values=(value,)).model_copy(update={"replicate_of": of, "seed": seed})


def test_folders_say_whose_replicate_a_trial_is(tmp_path: Path) -> None:
    one = finished(7, 2, 1, 0.5)
    assert TrialResult.model_validate_json(one.model_dump_json()).replicate_of == 2
    older = one.model_dump(mode="json")
    del older["replicate_of"]
    assert TrialResult.model_validate(older).replicate_of is None
