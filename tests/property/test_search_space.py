"""Every distribution of an experiment file means the same to Optuna."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.samplers import RandomSampler
from optuna.study import create_study
from pydantic import TypeAdapter

from hybridbatch.search.distributions import at_fraction, contains, fraction_of, space_to_optuna, to_optuna
from hybridbatch.spec.experiment import AnyDistribution
from hybridbatch.spec.search_space import IntegerRange, LogUniform, Uniform, extremes, middle

ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyDistribution)
REALS = st.floats(-1e6, 1e6, allow_nan=False)
POSITIVE = st.floats(1e-9, 1e6)
WHOLE = st.integers(-(2**31), 2**31)


def increasing(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(values, values).map(sorted).filter(lambda pair: pair[0] < pair[1])


SCALARS = st.one_of(st.booleans(), WHOLE, REALS, st.text(max_size=5))
STATED = st.one_of(
    increasing(REALS).map(lambda ends: {"uniform": ends}),
    increasing(POSITIVE).map(lambda ends: {"log_uniform": ends}),
    increasing(WHOLE).map(lambda ends: {"integer": ends}),
    increasing(st.integers(1, 2**31)).map(lambda ends: {"integer": ends, "log": True}),
    st.lists(SCALARS, min_size=1, max_size=6, unique=True).map(lambda values: {"choice": values}),
)


def read(stated: dict[str, Any]) -> Any:
    return ADAPTER.validate_json(json.dumps(stated))


def beyond(distribution: Any) -> list[float | int]:
    """Return the nearest values outside a range."""
    low, high = extremes(distribution)
    if isinstance(distribution, IntegerRange):
        return [low - 1, high + 1]
    return [math.nextafter(low, -math.inf), math.nextafter(high, math.inf)]


@given(STATED)
def test_both_ends_and_the_middle_are_inside_and_nothing_beyond_is(stated: dict[str, Any]):
    distribution = read(stated)
    optunas = to_optuna(distribution)
    for value in (*extremes(distribution), middle(distribution)):
        assert contains(optunas, value)
    if not isinstance(optunas, CategoricalDistribution):
        assert [contains(optunas, value) for value in beyond(distribution)] == [False, False]


@given(STATED)
def test_values_come_back_from_optuna_with_their_type(stated: dict[str, Any]):
    distribution = read(stated)
    optunas = to_optuna(distribution)
    for value in extremes(distribution):
        back = optunas.to_external_repr(optunas.to_internal_repr(value))
        assert (back, type(back)) == (value, type(value))


@given(STATED)
def test_a_distribution_survives_the_ledger(stated: dict[str, Any]):
    optunas = to_optuna(read(stated))
    back: BaseDistribution = json_to_distribution(distribution_to_json(optunas))
    assert back == optunas
    if isinstance(optunas, CategoricalDistribution):
        assert [type(choice) for choice in back.choices] == [type(choice) for choice in optunas.choices]


@given(st.lists(STATED, min_size=1, max_size=4), st.integers(0, 2**31))
def test_what_optuna_draws_is_inside(stated: list[dict[str, Any]], seed: int):
    space = {f"path.{index}": read(one) for index, one in enumerate(stated)}
    study = create_study(sampler=RandomSampler(seed=seed))
    params = study.ask(space_to_optuna(space)).params
    for path, distribution in space.items():
        ends = extremes(distribution)
        if "choice" in distribution.model_dump():
            assert any(params[path] == end and type(params[path]) is type(end) for end in ends)
        else:
            assert ends[0] <= params[path] <= ends[1]


@given(st.one_of(REALS, WHOLE, st.none(), st.text(alphabet="abc"), st.just(math.nan), st.just(math.inf)))
def test_whether_a_value_belongs_is_answered_for_any_value(value: Any):
    distribution = to_optuna(Uniform(uniform=(0.0, 1.0)))
    assert contains(distribution, value) == (isinstance(value, int | float) and 0 <= value <= 1)


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (Uniform(uniform=(1.0, 4.0)), 2.5),
        (LogUniform(log_uniform=(0.01, 1.0)), 0.1),
        (IntegerRange(integer=(1, 4)), 2),
        (read({"choice": ["b", "a"]}), "b"),
    ],
)
def test_the_middle_by_hand(distribution: Any, expected: float | str):
    assert middle(distribution) == (expected if isinstance(expected, str) else pytest.approx(expected))


@given(STATED, st.floats(0, 1))
def test_every_fraction_is_a_value_and_every_value_a_fraction(stated: dict[str, Any], fraction: float):
    distribution = to_optuna(read(stated))
    value = at_fraction(distribution, fraction)
    assert contains(distribution, value)
    if not isinstance(distribution, CategoricalDistribution):
        share = fraction_of(distribution, value)
        assert -1e-9 <= share <= 1 + 1e-9
        again = at_fraction(distribution, min(max(share, 0.0), 1.0))
        near = pytest.approx(value, rel=1e-6, abs=1e-9 * (distribution.high - distribution.low))
        assert again == (value if isinstance(distribution, IntDistribution) else near)


@pytest.mark.parametrize(
    ("stated", "values"),
    [
        ({"uniform": [1.0, 3.0]}, [1.0, 1.5, 2.0, 2.5, 3.0]),
        ({"log_uniform": [0.01, 1.0]}, [0.01, 10**-1.5, 0.1, 10**-0.5, 1.0]),
        ({"integer": [1, 4]}, [1, 2, 2, 4, 4]),  # 0.5, 1.5, 2.5 (to the even one), 3.5, 4.5
        ({"choice": ["a", "b"]}, ["a", "a", "b", "b", "b"]),
    ],
)
def test_fractions_by_hand(stated: dict[str, Any], values: list[Any]):
    found = [at_fraction(to_optuna(read(stated)), fraction) for fraction in (0, 0.25, 0.5, 0.75, 1)]
    assert found == (values if "choice" in stated else pytest.approx(values))
