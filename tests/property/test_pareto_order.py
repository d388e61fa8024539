"""The order of trials by several objectives: what must hold of it whatever was measured."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridbatch.search.pareto_order import positions

UP_DOWN = ("maximize", "minimize")
# Few values, so that there are ties and equal trials; wide ones, so that units differ.
COARSE = st.tuples(st.integers(0, 4).map(float), st.integers(0, 4).map(float))
WIDE = st.tuples(st.floats(0, 1), st.floats(0, 1e6))
TRIALS = st.one_of(st.lists(COARSE, min_size=1, max_size=14), st.lists(WIDE, min_size=1, max_size=14))


def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] >= other[0] and one[1] <= other[1]


def fronts(values: list[tuple[float, float]]) -> list[set[tuple[float, float]]]:
    """Return the fronts by their definition: peeled off one after the other."""
    left, found = set(values), []
    while left:
        found.append({one for one in left if not any(dominates(other, one) for other in left)})
        left -= found[-1]
    return found


@given(TRIALS)
def test_whoever_is_dominated_stands_behind(values: list[tuple[float, float]]) -> None:
    places = positions(values, UP_DOWN)
    for one, place in zip(values, places, strict=True):
        for other, theirs in zip(values, places, strict=True):
            assert not dominates(one, other) or place < theirs
            assert (one == other) == (place == theirs), "only equal trials stand together"
    level = {one: number for number, front in enumerate(fronts(values)) for one in front}
    in_order = [level[one] for _, one in sorted(zip(places, values, strict=True))]
    assert in_order == sorted(in_order), "a later front stands before an earlier one"


@given(TRIALS)
def test_places_count_the_trials_before(values: list[tuple[float, float]]) -> None:
    places = positions(values, UP_DOWN)
    assert places == [sum(other < place for other in places) for place in places]
    assert values[places.index(0)][0] == max(value for value, _ in values), "the best by the first objective is first"


@given(TRIALS, st.randoms(use_true_random=False))
def test_who_reported_first_does_not_count(values: list[tuple[float, float]], chance: random.Random) -> None:
    shuffled = list(range(len(values)))
    chance.shuffle(shuffled)
    places = positions(values, UP_DOWN)
    assert positions([values[index] for index in shuffled], UP_DOWN) == [places[index] for index in shuffled]


@given(st.lists(COARSE, min_size=1, max_size=14), st.integers(-8, 8), st.integers(-8, 8))
def test_units_and_directions_do_not_count(values: list[tuple[float, float]], first: int, second: int) -> None:
    places = positions(values, UP_DOWN)
    assert positions([(a * 2.0**first, b * 2.0**second) for a, b in values], UP_DOWN) == places
    assert positions([(-a, -b) for a, b in values], ("minimize", "maximize")) == places


@given(TRIALS)
def test_every_beginning_of_a_front_covers_it(values: list[tuple[float, float]]) -> None:
    """Those left out are no farther from the chosen than the chosen from each other: no gap while others crowd."""
    points = np.array(values)
    spans = np.ptp(points, axis=0)
    scaled = {one: np.array(one) / np.where(spans > 0, spans, 1.0) for one in values}
    place = dict(zip(values, positions(values, UP_DOWN), strict=True))
    for front in fronts(values):
        order = sorted(front, key=place.__getitem__)
        for count in range(2, len(order)):
            chosen, rest = order[:count], order[count:]
            apart = min(math.dist(scaled[one], scaled[other]) for one in chosen for other in chosen if one is not other)
            gap = max(min(math.dist(scaled[one], scaled[other]) for other in chosen) for one in rest)
            assert gap <= apart * (1 + 1e-9)


@pytest.mark.parametrize("direction", UP_DOWN)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=14))
def test_one_objective_is_the_order_of_its_values(direction: str, values: list[float]) -> None:
    sign = -1 if direction == "maximize" else 1
    expected = [sum(sign * other < sign * value for other in values) for value in values]
    assert positions([[value] for value in values], [direction]) == expected


@given(TRIALS, st.lists(st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1, max_size=3))
def test_what_was_not_measured_stands_last_and_moves_nobody(
    values: list[tuple[float, float]], lost: list[float]
) -> None:
    broken = [(value, 0.0) if index % 2 else (1e9, value) for index, value in enumerate(lost)]
    places = positions([*values, *broken], UP_DOWN)
    assert places[: len(values)] == positions(values, UP_DOWN)
    assert places[len(values) :] == [len(values)] * len(lost)


@given(st.lists(st.tuples(*3 * [st.floats(-1e300, 1e300)]), min_size=1, max_size=10))
def test_three_objectives_of_any_size(values: list[tuple[float, float, float]]) -> None:
    places = positions(values, ("maximize", "maximize", "minimize"))
    assert sorted(set(places))[0] == 0
    for one, place in zip(values, places, strict=True):
        for other, theirs in zip(values, places, strict=True):
            if one != other and one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2]:
                assert place < theirs


def test_an_order_by_hand() -> None:
    # One front of five on a line and one trial behind it. Both objectives have a range of 10.
    values = [(0.0, 0.0), (1.0, 1.0), (4.0, 4.0), (9.0, 9.0), (10.0, 10.0), (0.0, 5.0)]
    # The best by the first objective, then the farthest from it, then the middle (6 and 4 away; the others 1), then of
    # (1, 1) and (9, 9), both 1 away, the one whose first objective is larger.
    assert positions(values, UP_DOWN) == [1, 4, 2, 3, 0, 5]
    assert all(one < other for one, other in pairwise(sorted(positions(values, UP_DOWN))))


def test_nobody_to_order() -> None:
    assert positions([], UP_DOWN) == []
