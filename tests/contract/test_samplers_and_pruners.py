"""What every sampler and every pruner must do, over the registries: a new file is tested without editing this one."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from typing import Any, cast

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.small_study import experiment

from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import PRUNERS, SAMPLERS
from hybridbatch.search.distributions import contains, fraction_of, space_to_optuna
from hybridbatch.search.planned import planned_trials
from hybridbatch.search.seeded_sampler import sampler_of
from hybridbatch.spec.taken import Learnt

SPACE: dict[str, Any] = {
    "batches.mix.monolingual": {"uniform": [0.1, 0.9]},
    "loss.temperature": {"log_uniform": [0.02, 0.2]},
    "batches.size": {"integer": [4, 8]},
    "backbone.pooling": {"choice": ["mean", "cls"]},
    "training.seed": {"choice": [3]},
}
LISTED = {path: SPACE[path] for path in ("batches.size", "backbone.pooling", "training.seed")}
TRIALS = 14
OBJECTIVES = (
    [{"metric": "map_multi"}],
    [{"metric": "map_multi"}, {"metric": "rank_distance", "direction": "minimize"}],
)
values = st.floats(min_value=0, max_value=1)


def draw(
    kind: str,
    space: dict[str, Any],
    objectives: list[dict[str, str]],
    seed: int = 0,
    restarted: bool = False,
    learnt: Sequence[Learnt] = (),
) -> list[dict[str, Any]]:
    """Return what a sampler asks for in a study of which every third trial is pruned.

    ``restarted`` has a new process, as it were, for every trial, which knows the storage alone, and takes up again a
    trial of which only the first value had been drawn.
    """
    made = experiment(
        {
            "search.sampler": {"kind": kind},
            "search.space": space,
            "search.trials": TRIALS,
            "search.objectives": objectives,
            "search.seed": seed,
        }
    )
    search, distributions = made.search, space_to_optuna(made.search.space)
    directions = [objective.direction for objective in search.objectives]
    study = optuna.create_study(sampler=sampler_of(search, learnt), directions=directions)
    drawn = []
    for number in range(TRIALS):
        trial = study.ask()
        if restarted:
            first = next(iter(distributions))
            trial._suggest(first, distributions[first])
            name = study.study_name
            study = optuna.load_study(study_name=name, storage=study._storage, sampler=sampler_of(search, learnt))
            trial = optuna.Trial(study, trial._trial_id)
        drawn.append({path: trial._suggest(path, distribution) for path, distribution in distributions.items()})
        if number % 3 == 2:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, [0.1 * (number % 4), 5.0][: len(objectives)])
    return drawn


@pytest.mark.parametrize("objectives", OBJECTIVES, ids=("one objective", "two objectives"))
@pytest.mark.parametrize("kind", SAMPLERS.entries())
def test_samplers_stay_in_the_space_and_repeat_by_seed(kind: str, objectives: list[dict[str, str]]) -> None:
    space = LISTED if kind == "grid" else SPACE
    distributions = space_to_optuna(experiment({"search.space": space}).search.space)
    drawn = draw(kind, space, objectives)
    for one in drawn:
        assert list(one) == list(space)
        assert all(contains(distributions[path], value) for path, value in one.items()), one
    assert drawn == draw(kind, space, objectives)
    several = {path: space[path] for path in space if path != "training.seed"}  # which has one value
    assert draw(kind, several, objectives) == draw(kind, several, objectives, restarted=True)
    assert drawn != draw(kind, space, objectives, seed=1)


@pytest.mark.parametrize("objectives", OBJECTIVES, ids=("one objective", "two objectives"))
@pytest.mark.parametrize("kind", SAMPLERS.entries())
def test_samplers_learn_from_earlier_studies_or_say_that_they_do_not(
    kind: str, objectives: list[dict[str, str]]
) -> None:
    space = {path: one for path, one in (LISTED if kind == "grid" else SPACE).items() if path != "training.seed"}
    learnt = [
        Learnt(number, pruned, False, (0.01 * number, 9.0)[: len(objectives)], 2 if pruned else 0, {}, params)
        for number, (params, pruned) in enumerate(
            (params, place % 5 == 4) for place, params in enumerate(draw("random", space, objectives, seed=5) * 2)
        )
    ]
    drawn = draw(kind, space, objectives, learnt=learnt)
    assert (drawn != draw(kind, space, objectives)) is cast(Any, SAMPLERS.get(kind)).learns
    assert drawn == draw(kind, space, objectives, learnt=learnt, restarted=True)


@pytest.mark.parametrize("kind", SAMPLERS.entries())
def test_samplers_put_nothing_into_the_storage_that_runs_when_it_is_read(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("pickled")

    for name in ("loads", "dumps"):
        monkeypatch.setattr(pickle, name, refuse)
    draw(kind, LISTED if kind == "grid" else SPACE, OBJECTIVES[0])


def best_of(kind: str, trials: int, **settings: Any) -> float:
    """Return how near a sampler comes to the best of three numbers, the largest of several seeds."""
    space = {path: SPACE[path] for path in ("batches.mix.monolingual", "loss.temperature", "batches.size")}
    found = []
    for seed in range(3):
        changes = {"search.sampler": {"kind": kind, **settings}, "search.space": space, "search.seed": seed}
        search = experiment({**changes, "search.trials": trials}).search
        study = optuna.create_study(sampler=sampler_of(search))
        distributions = space_to_optuna(search.space)
        for _ in range(trials):
            trial = study.ask(distributions)
            away = [fraction_of(one, trial.params[path]) - 0.7 for path, one in distributions.items()]
            study.tell(trial, sum(one**2 for one in away))
        found.append(study.best_value)
    return max(found)


@pytest.mark.parametrize(("kind", "trials"), [("cma-es", 90), ("gp", 24)])
def test_samplers_that_learn_come_nearer_than_chance(kind: str, trials: int) -> None:
    assert best_of(kind, trials) < 0.2 * best_of("random", trials)


def test_quasi_random_points_fill_every_part_of_the_space_once() -> None:
    space = {path: SPACE[path] for path in ("batches.mix.monolingual", "loss.temperature")}
    made = experiment({"search.sampler": {"kind": "qmc"}, "search.space": space, "search.trials": 16})
    study, distributions = optuna.create_study(sampler=sampler_of(made.search)), space_to_optuna(made.search.space)
    for number in range(2):  # baselines come first, and take no point
        baseline = study.ask()
        baseline.set_user_attr("baseline", "mono")
        study.tell(baseline, float(number))
    asked = [study.ask(distributions).params for _ in range(16)]
    shares = [[fraction_of(one, trial[path]) for path, one in distributions.items()] for trial in asked]
    for width, height in ((16, 1), (4, 4), (2, 8), (1, 16)):  # elementary intervals of a (0, 4, 2)-net in base 2
        assert len({(int(a * width), int(b * height)) for a, b in shares}) == 16


@pytest.mark.parametrize("kind", SAMPLERS.entries())
def test_samplers_refuse_settings_that_they_do_not_have(kind: str) -> None:
    with pytest.raises(UserError, match="unknown key") as refused:
        experiment({"search.sampler": {"kind": kind, "colour": "red"}})
    assert "search.sampler.colour" in refused.value.render()


def test_the_grid_lists_every_combination_once_in_the_order_of_the_file() -> None:
    made = experiment({"search.sampler": {"kind": "grid"}, "search.space": LISTED, "search.trials": None})
    grid = planned_trials(made).grid
    assert len(grid) == cast(Any, made.search.sampler).size(dict(made.search.space)) == 5 * 2 * 1
    assert [tuple(point.values()) for point in grid] == [
        (size, pooling, 3) for size in range(4, 9) for pooling in ("mean", "cls")
    ]


def test_a_grid_too_large_to_be_listed_is_never_listed() -> None:
    space = {"training.seed": {"integer": [0, 10**9]}, "training.steps": {"integer": [1, 10**9]}}
    huge = {"search.sampler": {"kind": "grid"}, "search.space": space}
    grid = planned_trials(experiment({**huge, "search.trials": 3})).grid
    assert [tuple(point.values()) for point in grid] == [(0, 1), (0, 2), (0, 3)]
    for trials, place in ((None, "search.space"), (10**7, "search.trials")):
        with pytest.raises(UserError, match="more points than a study holds") as refused:
            planned_trials(experiment({**huge, "search.trials": trials}))
        assert refused.value.path == place


def pruner_of(kind: str, **changes: int) -> Any:
    return PRUNERS.get(kind)(kind=kind, **changes)


@pytest.mark.parametrize("kind", PRUNERS.entries())
@settings(max_examples=80, deadline=None)
@given(value=values, others=st.lists(values, max_size=12), rise=values)
def test_better_is_never_worse(kind: str, value: float, others: list[float], rise: float) -> None:
    pruner = pruner_of(kind)
    if pruner.goes_on(value, others):
        assert pruner.goes_on(value + rise, others)
    assert pruner.goes_on(value, others) == pruner.goes_on(value, others[::-1]), "the order of the others counts"
    assert pruner.goes_on(max([value, *others]), others), "the best was ended"
    assert pruner.goes_on(value, []), "the first at a rung was ended"
    assert not pruner.goes_on(math.nan, others)


@pytest.mark.parametrize("kind", PRUNERS.entries())
@settings(max_examples=40, deadline=None)
@given(others=st.lists(st.floats(min_value=0.5, max_value=1), min_size=12, max_size=20))
def test_the_worst_of_many_ends(kind: str, others: list[float]) -> None:
    assert not pruner_of(kind).goes_on(0.1, others)


@pytest.mark.parametrize("kind", PRUNERS.entries())
@settings(max_examples=80, deadline=None)
@given(every=st.integers(1, 50), minimum=st.integers(1, 200))
def test_every_trial_gets_its_minimum_and_a_decision_after_it(kind: str, every: int, minimum: int) -> None:
    pruner = pruner_of(kind, minimum_steps=minimum)
    rungs = [step for step in range(every, 12 * minimum + 12 * every, every) if pruner.is_rung(step, every)]
    assert rungs[0] == math.ceil(minimum / every) * every
    assert len(rungs) >= 2


@pytest.mark.parametrize(
    ("reduction", "value", "others", "goes_on"),
    [
        # reached = others + 1; of these floor(reached / reduction) go on, at least one
        (2, 0.5, [], True),
        (2, 0.5, [0.6], False),  # floor(2/2) = 1, one is better
        (2, 0.5, [0.6, 0.4], False),  # floor(3/2) = 1
        (2, 0.5, [0.6, 0.4, 0.3], True),  # floor(4/2) = 2
        (3, 0.5, [0.6, 0.4, 0.3, 0.2], False),  # floor(5/3) = 1
        (3, 0.5, [0.6, 0.4, 0.3, 0.2, 0.1], True),  # floor(6/3) = 2
        (2, 0.5, [0.5, 0.5], True),  # as good as the best is not worse
    ],
)
def test_successive_halving_by_hand(reduction: int, value: float, others: list[float], goes_on: bool) -> None:
    assert pruner_of("asha", reduction=reduction).goes_on(value, others) is goes_on


def test_rungs_of_successive_halving_by_hand() -> None:
    pruner = pruner_of("asha", minimum_steps=50, reduction=2)
    assert [step for step in range(50, 450, 50) if pruner.is_rung(step, 50)] == [50, 100, 200, 400]
    # Evaluations every 60 steps: the first at or after 50, 100, 200 and 400.
    assert [step for step in range(60, 480, 60) if pruner.is_rung(step, 60)] == [60, 120, 240, 420]


@pytest.mark.parametrize(
    ("value", "others", "goes_on"),
    [
        (0.1, [0.5, 0.6, 0.7], True),  # three others are too few
        (0.54, [0.4, 0.5, 0.6, 0.7], False),  # their median is 0.55
        (0.55, [0.4, 0.5, 0.6, 0.7], True),
        (0.5, [0.9, 0.2, 0.5, 0.8, 0.1], True),
    ],
)
def test_the_median_rule_by_hand(value: float, others: list[float], goes_on: bool) -> None:
    assert pruner_of("median", minimum_trials=4).goes_on(value, others) is goes_on


def test_brackets_of_hyperband_by_hand() -> None:
    pruner = pruner_of("hyperband", minimum_steps=50, reduction=3, brackets=3)
    assert pruner.shares() == [9, 5, 3]  # 3 * 9 / 3, 3 * 3 / 2 rounded up, 3 * 1 / 1
    assert [pruner.within(bracket).minimum_steps for bracket in range(3)] == [50, 150, 450]
    drawn = [pruner.bracket(0, number) for number in range(1700)]
    assert (
        drawn[:40]
        == [pruner.bracket(0, number) for number in range(40)]
        != [pruner.bracket(1, number) for number in range(40)]
    )
    for bracket, share in enumerate(pruner.shares()):
        assert abs(drawn.count(bracket) - 100 * share) < 5 * math.sqrt(100 * share), "not in the shares stated"


@given(first=st.integers(1, 30), reduction=st.integers(2, 4), brackets=st.integers(2, 4), every=st.integers(1, 20))
def test_the_first_bracket_has_the_rungs_of_all(first: int, reduction: int, brackets: int, every: int) -> None:
    pruner = pruner_of("hyperband", minimum_steps=first, reduction=reduction, brackets=brackets)
    for step in range(every, 40 * every, every):
        assert pruner.is_rung(step, every) or not any(
            pruner.within(bracket).is_rung(step, every) for bracket in range(brackets)
        )
