"""Figures that answer a question: response, simplex, hypervolume, curves; each says what it rests on."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.study_tables import table_of
from tests.trial_folders import MIX, TEMPERATURE, sample_results, trial_result

from hybridbatch.report.figures.curves import curve_cards
from hybridbatch.report.figures.response import response_cards
from hybridbatch.report.figures.simplex import simplex_cards
from hybridbatch.report.figures.tradeoff import tradeoff_cards
from hybridbatch.report.pareto import dominated_share, hypervolume_over_time, non_dominated
from hybridbatch.spec.trial import Mixture

if TYPE_CHECKING:
    from pathlib import Path

    from hybridbatch.spec.trial import TrialResult

BOX = [(0.0, 1.0), (0.0, 1.0)]
UP = ("maximize", "maximize")
SHARES = st.floats(0, 1)
POINTS = st.lists(st.tuples(SHARES, SHARES), max_size=12)


# Hypervolume


def test_hypervolume_by_hand() -> None:
    assert dominated_share([(0.5, 0.5)], UP, BOX) == 0.25
    assert dominated_share([(0.5, 0.5), (0.25, 0.75), (0.25, 0.25)], UP, BOX) == 0.25 + 0.25 * 0.25
    assert dominated_share([(100.0, 0.8)], ("minimize", "maximize"), [(0.0, 400.0), (0.0, 1.0)]) == pytest.approx(0.6)
    assert dominated_share([], UP, BOX) == 0.0


@given(POINTS)
def test_hypervolume_equals_optunas_and_that_of_the_front(points: list[tuple[float, float]]) -> None:
    from optuna._hypervolume import compute_hypervolume

    found = dominated_share(points, UP, BOX)
    losses = -np.array(points).reshape(-1, 2)
    assert found == pytest.approx(compute_hypervolume(losses, np.zeros(2)) if points else 0.0, abs=1e-12)
    front = [point for point, kept in zip(points, non_dominated(points, UP), strict=True) if kept]
    assert found == pytest.approx(dominated_share(front, UP, BOX), abs=1e-12)


@given(st.lists(st.tuples(st.floats(0, 5), st.none() | st.tuples(SHARES, SHARES)), max_size=12))
def test_hypervolume_never_falls(trials: list[tuple[float, tuple[float, float] | None]]) -> None:
    points = hypervolume_over_time(trials, UP)
    for before, after in pairwise(points):
        assert before.share <= after.share + 1e-12
        assert before.hours <= after.hours
    if points:
        assert [point.trials for point in points] == list(range(1, len(trials) + 1))
        assert 0 <= points[-1].share <= 1 + 1e-12


def test_hypervolume_follows_the_order_in_which_trials_ended(tmp_path: Path) -> None:
    table = table_of(tmp_path, sample_results())
    by_trials, by_hours = (card for card in tradeoff_cards(table) if card.title.startswith("Hypervolume"))
    assert by_trials.figure is not None
    assert by_hours.figure is not None
    share = by_trials.figure.data[0].y
    assert len(share) == len(table.rows), "pruned and failed trials take time, too"
    assert list(share) == sorted(share)
    hours = sum(row.result.seconds["total"] for row in table.rows) / 3600
    assert by_hours.figure.data[0].x[-1] == pytest.approx(hours)
    assert "14 complete trials of 17" in by_trials.caption


# Response


def searched(trials: int, noise: float = 0.004) -> list[TrialResult]:
    random = np.random.default_rng(0)
    return [
        trial_result(n, alpha=float(random.uniform()), temperature=float(np.exp(random.uniform(-4.6, -1.6))))
        for n in range(trials)
    ]


def test_the_response_has_a_line_a_band_and_a_stripe(tmp_path: Path) -> None:
    cards = {card.title: card for card in response_cards(table_of(tmp_path, searched(20)))}
    card = cards[f"rank distance by {MIX}"]
    assert card.figure is not None
    assert [trace.name for trace in card.figure.data] == ["95% interval", "expected", "searched"]
    assert "20 complete trials" in card.caption
    assert "fitted to 20 trials" in card.caption
    assert "Best expected at" in card.caption
    (stripe,) = card.figure.layout.shapes
    assert 0 <= stripe.x0 <= stripe.x1 <= 0.6, "the distance rises with the share"
    band = card.figure.data[0]
    assert min(band.x) == pytest.approx(min(card.figure.data[1].x))
    by_temperature = cards[f"mAP multi by {TEMPERATURE}"].figure
    assert by_temperature is not None
    steps = np.diff(np.log(by_temperature.data[1].x))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


def test_too_few_trials_have_points_and_no_line(tmp_path: Path) -> None:
    card = response_cards(table_of(tmp_path, searched(6)))[0]
    assert card.figure is not None
    assert [trace.name for trace in card.figure.data] == ["searched"]
    assert "No line: needs 8 complete trials" in card.caption


# Simplex


def mixed(number: int, shares: tuple[float, float, float]) -> TrialResult:
    counts = dict(zip(("monolingual", "crosslingual", "multilingual"), (round(1000 * s) for s in shares), strict=True))
    made = trial_result(number, alpha=shares[0])
    return made.model_copy(update={"mixture": Mixture(batches=counts, datasets={}, pairs={})})


def test_three_kinds_that_vary_make_a_triangle(tmp_path: Path) -> None:
    shares = np.random.default_rng(1).dirichlet([1, 1, 1], 14)
    cards = simplex_cards(table_of(tmp_path, [mixed(n, tuple(one)) for n, one in enumerate(shares)]))
    assert [card.title for card in cards] == [
        f"{name} over the simplex" for name in ("mAP multi", "rank distance", "mAP mono", "mAP cross")
    ]
    for card in cards:
        assert card.figure is not None
        assert [trace.name for trace in card.figure.data] == ["expected", "best expected", "trials"]
        assert "14 complete trials" in card.caption
        for trace in card.figure.data:
            for corner in zip(trace.a, trace.b, trace.c, strict=True):
                assert math.isclose(sum(corner), 1, abs_tol=1e-9)


def test_two_kinds_make_none(tmp_path: Path) -> None:
    assert simplex_cards(table_of(tmp_path, sample_results())) == []


def test_few_mixes_are_shown_without_a_surface(tmp_path: Path) -> None:
    shares = [(0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)]
    card = simplex_cards(table_of(tmp_path, [mixed(n, one) for n, one in enumerate(shares)]))[0]
    assert card.figure is not None
    assert [trace.name for trace in card.figure.data] == ["trials"]
    assert "Nothing fitted: needs 10 complete trials" in card.caption


# Curves


def test_curves_mark_the_rungs_at_which_trials_were_pruned(tmp_path: Path) -> None:
    (card,) = curve_cards(table_of(tmp_path, sample_results()))
    assert card.figure is not None
    assert [shape.x0 for shape in card.figure.layout.shapes] == [200]
    assert "2 pruned" in card.caption
    assert "2 at step 200" in card.caption
    ends = [trace for trace in card.figure.data if trace.name == "pruned"]
    assert [trace.marker.symbol[-1] for trace in ends] == ["x", "x"]
