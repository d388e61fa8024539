"""Effects that were planted into made-up scores: intervals hold them, and equal arms are not told apart.

Scores, noise and true effects are those of ``experiments/benchmarks/planted_effects.py``, which measures more.
A share of 500 repetitions has a standard error of at most 1 percentage point where 95% are right (less here, since
several arms are counted): the bounds are two of them to either side. Alarms must not exceed 5% at all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from experiments.benchmarks.planted_effects import NOISES, Outcome, expected_score, outcomes
from scipy import integrate, stats

from hybridbatch.metrics.significance.two_level import _generalised_p

REPETITIONS, ITEMS, LANGUAGES, ARMS = 500, 100, 3, 3
LEAST, MOST = 0.93, 0.97
ALARMS = 0.05


def drawn(noise: str, seeds: int, *, any_effect: bool) -> Iterator[Outcome]:
    return outcomes(NOISES[noise], [seeds] * ARMS, ITEMS, LANGUAGES, REPETITIONS, any_effect=any_effect)


@pytest.mark.parametrize(("noise", "seeds"), [("as measured", 3), ("as questions", 2), ("uneven", 5)])
def test_intervals_hold_planted_effects(noise: str, seeds: int) -> None:
    covered_NAP = np.concatenate([one.covered_NAP for one in drawn(noise, seeds, any_effect=True)])
    assert covered_NAP.shape == (REPETITIONS, ARMS - 1, 1 + LANGUAGES)
    assert LEAST <= covered_NAP[:, :, 0].mean() <= MOST
    assert LEAST <= covered_NAP[:, :, 1:].mean() <= MOST


@pytest.mark.parametrize(("noise", "seeds"), [("as measured", 2), ("uneven", 3)])
def test_no_effect_raises_no_alarm_in_the_family(noise: str, seeds: int) -> None:
    found = list(drawn(noise, seeds, any_effect=False))
    assert np.concatenate([one.alarm_N for one in found]).mean() <= ALARMS
    raw = np.concatenate([one.raw_alarm_N for one in found]).mean()
    assert raw > ALARMS, "p-values of the intervals are too small in the tail: what is corrected must be larger"


def test_large_effects_are_found_and_small_ones_seldom() -> None:
    """Of arms that change mAP by .04, .02 and .10, in a family of 12, with five seeds of little noise."""
    found = outcomes(NOISES["little"], [5] * 4, ITEMS, LANGUAGES, REPETITIONS, any_effect=True)
    share_A = np.concatenate([one.found_NA for one in found]).mean(axis=0)
    assert share_A[2] > 0.5
    assert share_A[1] < share_A[0] < share_A[2]


def test_the_expected_score_is_that_of_many_draws() -> None:
    random = np.random.default_rng(3)
    drawn_N = 1 / (1 + np.floor(np.exp(random.normal(-0.4, 1.8, 2_000_000))))
    assert expected_score(np.array([-0.4]), 1.8)[0] == pytest.approx(
        drawn_N.mean(), abs=4 * drawn_N.std() / 2_000_000**0.5
    )


@pytest.mark.parametrize(
    ("away", "certain", "seeds", "freedom"),
    [(1.0, 0.3, 0.2, 1.0), (4.0, 1.0, 0.01, 1.0), (4.0, 0.5, 1.0, 3.7), (9.0, 1.0, 1.0, 2.0), (2.0, 0.0, 1.0, 4.0)],
)
def test_the_generalised_p_value_is_the_integral(away: float, certain: float, seeds: float, freedom: float) -> None:
    def tail(squares: float) -> float:
        error = np.sqrt(certain + seeds * freedom / squares)
        return float(2 * stats.norm.sf(away / error) * stats.chi2.pdf(squares, freedom))

    expected = sum(integrate.quad(tail, *part, epsabs=0, limit=400)[0] for part in ((0, 1e-4), (1e-4, 1), (1, 200)))
    found = _generalised_p(*(np.array([value]) for value in (away, certain, seeds, freedom)))
    assert found[0] == pytest.approx(expected, rel=1e-3)


def test_the_generalised_p_value_has_known_limits() -> None:
    one = np.array([1.0])
    seeds_alone = _generalised_p(3 * one, 0 * one, one, 4 * one)
    assert seeds_alone[0] == pytest.approx(2 * stats.t.sf(3, 4), rel=1e-4)
    questions_alone = _generalised_p(3 * one, one, 0 * one, 4 * one)
    assert questions_alone[0] == pytest.approx(2 * stats.norm.sf(3), rel=1e-9)
    nothing = _generalised_p(0 * one, one, one, one)
    assert nothing[0] == pytest.approx(1.0)
