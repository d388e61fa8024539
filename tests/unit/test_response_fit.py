"""The response of a measure to what was searched: intervals hold a planted optimum, few trials are told to be few."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hybridbatch.report.response_fit import Response, TooFew, as_number, fit_response, fit_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIX, TEMPERATURE = "batches.mix.monolingual", "loss.temperature"
BEST_MIX, BEST_TEMPERATURE = 0.62, 0.05
LOGARITHMIC = frozenset({TEMPERATURE})


def planted(mix: float, temperature: float) -> float:
    return 0.5 - 0.3 * (mix - BEST_MIX) ** 2 - 0.02 * np.log(temperature / BEST_TEMPERATURE) ** 2


def drawn(random: np.random.Generator, trials: int, noise: float) -> tuple[list[dict[str, Any]], list[float]]:
    points = [
        {MIX: float(random.uniform(0, 1)), TEMPERATURE: float(np.exp(random.uniform(np.log(0.01), np.log(0.2))))}
        for _ in range(trials)
    ]
    return points, [planted(*point.values()) + float(noise * random.standard_normal()) for point in points]


def fitted(points: list[dict[str, Any]], values: list[float], path: str, **given: Any) -> Response:
    found = fit_response(points, values, path, logarithmic=LOGARITHMIC, **given)
    assert isinstance(found, Response)
    return found


def test_intervals_hold_a_planted_optimum_and_the_expected_measure() -> None:
    """40 studies of 20 trials: at 95% each, fewer than 35 would be a chance of 1 in 1,000 (binomial)."""
    held = {MIX: 0, TEMPERATURE: 0}
    covered: list[NDArray[np.bool_]] = []
    for study in range(40):
        points, values = drawn(np.random.default_rng(study), 20, 0.01)
        for path, best in ((MIX, BEST_MIX), (TEMPERATURE, BEST_TEMPERATURE)):
            one = fitted(points, values, path, seed=study)
            held[path] += one.optimum_low[0] - 1e-9 <= best <= one.optimum_high[0] + 1e-9
            assert one.optimum_low[0] <= one.optimum_high[0]
        others = [point[TEMPERATURE] for point in points]
        truth = [
            np.mean([planted(place, other) for other in others]) for (place,) in fitted(points, values, MIX).places
        ]
        one = fitted(points, values, MIX)
        covered.append((np.array(one.low) <= truth) & (truth <= np.array(one.high)))
    assert min(held.values()) >= 35
    assert np.mean(covered) > 0.9


def test_more_trials_say_more() -> None:
    widths = []
    for trials in (12, 60):
        points, values = drawn(np.random.default_rng(1), trials, 0.01)
        one = fitted(points, values, MIX)
        widths.append(one.optimum_high[0] - one.optimum_low[0])
        assert one.trials == trials
    assert widths[1] < widths[0]
    assert one.noise == pytest.approx(0.01, rel=0.5)
    assert one.optimum[0] == pytest.approx(BEST_MIX, abs=0.1)


def test_nothing_but_noise_is_said_to_be_vague() -> None:
    random = np.random.default_rng(5)
    points, _ = drawn(random, 20, 0.0)
    one = fitted(points, [float(random.standard_normal()) for _ in points], MIX)
    assert one.is_vague
    assert min(one.low) < 0 < max(one.high)


def test_the_other_way_round() -> None:
    points, values = drawn(np.random.default_rng(2), 25, 0.005)
    upwards = fitted(points, values, MIX)
    downwards = fitted(points, [-value for value in values], MIX, direction="minimize")
    assert downwards.optimum == upwards.optimum
    np.testing.assert_allclose(np.negative(downwards.mean), upwards.mean, atol=1e-4)


def test_the_same_call_gives_the_same_figures() -> None:
    points, values = drawn(np.random.default_rng(3), 15, 0.01)
    assert fitted(points, values, MIX, seed=4) == fitted(points, values, MIX, seed=4)


@pytest.mark.parametrize(
    ("trials", "place", "reason"),
    [(7, None, "there are 7 with 7"), (20, 0.5, "there are 20 with 1"), (20, "en", "there are 0 with 0")],
)
def test_too_few_are_told(trials: int, place: Any, reason: str) -> None:
    points, values = drawn(np.random.default_rng(0), trials, 0.01)
    points = [{**point, MIX: point[MIX] if place is None else place} for point in points]
    found = fit_response(points, values, MIX)
    assert isinstance(found, TooFew)
    assert reason in found.reason
    assert "needs 8 complete trials with 5 different numbers" in found.reason


def test_lists_count_for_their_length_and_choices_stand_beside_numbers() -> None:
    random = np.random.default_rng(8)
    languages = ["en", "de", "es", "ru", "tr", "vi", "zh", "th"]
    points = [{"languages": languages[: 1 + n % 8], "pooling": ("cls", "mean")[n % 3 == 0]} for n in range(32)]
    values = [len(one["languages"]) + 5 * (one["pooling"] == "mean") + random.normal(0, 0.1) for one in points]
    found = fit_response(points, values, "languages")
    assert isinstance(found, Response)
    assert found.places[0] == (1.0,)
    assert found.optimum == (8.0,)
    assert found.mean[-1] - found.mean[0] == pytest.approx(7, abs=0.5), "whatever the pooling was"
    assert [as_number(value) for value in (3, 0.5, True, None, "a", ("a", "b"))] == [3.0, 0.5, None, None, None, 2.0]


def test_a_study_of_a_thousand_trials_is_thinned() -> None:
    points, values = drawn(np.random.default_rng(6), 1000, 0.01)
    assert fitted(points, values, MIX).trials == 200


def test_a_surface_over_shares_finds_its_top() -> None:
    random = np.random.default_rng(9)
    shares = random.dirichlet([1, 1, 1], 40)
    points = [{"mono": float(a), "cross": float(b)} for a, b, _ in shares]
    values = [0.6 - (a - 0.5) ** 2 - (b - 0.3) ** 2 + float(random.normal(0, 0.01)) for a, b, _ in shares]
    grid = np.array([(i / 20, j / 20) for i in range(21) for j in range(21 - i)])
    found = fit_surface(points, values, {"mono": grid[:, 0], "cross": grid[:, 1]})
    assert isinstance(found, Response)
    assert found.optimum == pytest.approx((0.5, 0.3), abs=0.11)
    for low, best, high in zip(found.optimum_low, (0.5, 0.3), found.optimum_high, strict=True):
        assert low <= best <= high
    assert isinstance(fit_surface(points[:9], values[:9], {"mono": grid[:, 0], "cross": grid[:, 1]}), TooFew)
