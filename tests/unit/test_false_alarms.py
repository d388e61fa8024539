"""How often the tests call two equal systems different: 5% at a level of 0.05, with questions that are translations.

A simulated pair of systems answers the same items in eleven languages. What an item gains under one system against the
other it gains in all its translations, more or less: they are no independent observations. Both systems are equally
good, so whatever is called different is a false alarm. Several pairs are looked at in one call, each as a measure.

Shape legend: S runs, N simulated pairs, I items, L languages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from hybridbatch.metrics.significance.bootstrap import Interval, paired_bootstrap
from hybridbatch.metrics.significance.clustered_means import ClusteredMeans
from hybridbatch.metrics.significance.holm import holm
from hybridbatch.metrics.significance.randomisation import randomisation_test
from hybridbatch.metrics.significance.two_level import two_level_test

Floats = NDArray[np.float64]

PAIRS, AT_ONCE = 1000, 100
ITEMS, LANGUAGES = 150, 11
RESAMPLES, ALPHA = 999, 0.05
LEAST, MOST = 0.035, 0.065


@dataclass(frozen=True)
class Noise:
    """What makes the scores of one system scatter around those of another that is as good.

    Attributes:
        item: Items that the system happens to be good at, whatever its seed.
        seed: Seeds that give better or worse runs altogether.
        item_and_seed: Items that a run happens to be good at.
        row: Single translations.
    """

    item: float = 1.0
    seed: float = 0.0
    item_and_seed: float = 0.0
    row: float = 1.0


def scores(
    random: np.random.Generator, noise: Noise, seeds: tuple[int, int], gain: float = 0.0, languages: int = LANGUAGES
) -> list[Floats]:
    """Return the scores [S, N, I, L] of two systems, as skewed as reciprocal ranks: many near 0, many exactly 1."""
    difficulty_NI = random.normal(0, 1.5, (AT_ONCE, ITEMS))
    systems = []
    for system, runs in enumerate(seeds):
        logit_SNIL = (
            (difficulty_NI + random.normal(0, noise.item, (AT_ONCE, ITEMS)))[None, :, :, None]
            + random.normal(0, noise.seed, (runs, AT_ONCE))[:, :, None, None]
            + random.normal(0, noise.item_and_seed, (runs, AT_ONCE, ITEMS))[..., None]
            + random.normal(0, noise.row, (runs, AT_ONCE, ITEMS, languages))
            - gain * system
        )
        systems.append(1 / (1 + np.floor(np.exp(logit_SNIL))))
    return systems


def measures(scores_NIL: Floats, there_NIL: NDArray[np.bool_] | None = None) -> ClusteredMeans:
    """Return each pair's measure as the mean over the cells of eleven languages."""
    pairs, items, languages = scores_NIL.shape
    counts_NIL = np.ones(scores_NIL.shape) if there_NIL is None else there_NIL.astype(np.float64)
    cells = (np.transpose(one, (1, 0, 2)).reshape(items, -1) for one in (scores_NIL * counts_NIL, counts_NIL))
    return ClusteredMeans(*cells, np.repeat(np.eye(pairs), languages, axis=0))


def batches() -> list[np.random.Generator]:
    return [np.random.default_rng([20261121, number]) for number in range(PAIRS // AT_ONCE)]


def rate(alarms: list[NDArray[np.bool_]]) -> float:
    return float(np.mean(np.concatenate(alarms)))


def outside(low_M: Floats, high_M: Floats) -> NDArray[np.bool_]:
    return (low_M > 0) | (high_M < 0)


def differences(random: np.random.Generator, gain: float = 0.0) -> ClusteredMeans:
    """Return the differences of two systems in items of which a good part lacks translations, as in MLQA-R."""
    first, second = scores(random, Noise(), (1, 1), gain)
    there_NIL = random.random(first[0].shape) < random.uniform(0.3, 1.0, (AT_ONCE, ITEMS, 1))
    return measures(first[0] - second[0], there_NIL)


@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_bootstrap(interval: Interval) -> None:
    by_interval, by_p = [], []
    for number, random in enumerate(batches()):
        found = paired_bootstrap(differences(random), resamples=RESAMPLES, seed=number, alpha=ALPHA, interval=interval)
        by_interval.append(outside(found.low_M, found.high_M))
        by_p.append(found.p_M <= ALPHA)
    assert LEAST <= rate(by_interval) <= MOST
    assert LEAST <= rate(by_p) <= MOST


def test_randomisation() -> None:
    alarms = [
        randomisation_test(differences(random), resamples=RESAMPLES, seed=number).p_M <= ALPHA
        for number, random in enumerate(batches())
    ]
    assert LEAST <= rate(alarms) <= MOST


def test_the_bootstrap_of_single_questions_calls_far_too_many_different() -> None:
    """The same pairs with every translation as an observation of its own."""
    alarms = []
    for number, random in enumerate(batches()):
        together = differences(random)
        shape = (ITEMS, AT_ONCE, LANGUAGES)
        sums_NIL, counts_NIL = (
            cells.reshape(shape).transpose(1, 0, 2) for cells in (together.sums_IC, together.counts_IC)
        )
        means_N = sums_NIL.sum(axis=(1, 2)) / counts_NIL.sum(axis=(1, 2))
        rows_RN, there_RN = (one.reshape(AT_ONCE, -1).T for one in (sums_NIL, counts_NIL))
        alone = ClusteredMeans(rows_RN, there_RN, np.eye(AT_ONCE))
        np.testing.assert_allclose(alone.point_M, means_N, atol=1e-12)
        found = paired_bootstrap(alone, resamples=RESAMPLES, seed=number, alpha=ALPHA, interval="percentile")
        alarms.append(outside(found.low_M, found.high_M))
    assert rate(alarms) > 4 * ALPHA


def two_levels(noise: Noise, seeds: tuple[int, int], gain: float = 0.0) -> tuple[float, float]:
    """Return the shares of pairs called different by the two-level test, and by one that knows of no seeds."""
    by_both, by_items_alone = [], []
    for number, random in enumerate(batches()):
        systems = scores(random, noise, seeds, gain, languages=4)
        means = [[measures(run_NIL.mean(axis=-1, keepdims=True)) for run_NIL in runs] for runs in systems]
        found = two_level_test(*means, alpha=ALPHA)
        by_both.append(found.p_M <= ALPHA)
        np.testing.assert_array_equal(by_both[-1], outside(found.low_M, found.high_M))
        averaged = measures((systems[0].mean(axis=0) - systems[1].mean(axis=0)).mean(axis=-1, keepdims=True))
        by_items_alone.append(randomisation_test(averaged, resamples=RESAMPLES, seed=number).p_M <= ALPHA)
    return rate(by_both), rate(by_items_alone)


@pytest.mark.parametrize(
    ("noise", "seeds"),
    [
        (Noise(seed=0.1, item_and_seed=0.5), (3, 3)),
        (Noise(seed=0.3, item_and_seed=0.5), (3, 3)),
        (Noise(seed=0.3, item_and_seed=0.5), (5, 5)),
    ],
)
def test_two_level_test(noise: Noise, seeds: tuple[int, int]) -> None:
    by_both, by_items_alone = two_levels(noise, seeds)
    assert LEAST <= by_both <= MOST
    assert by_items_alone > by_both


@pytest.mark.parametrize(
    ("noise", "seeds"),
    [
        (Noise(seed=0.5, item_and_seed=0.5), (2, 2)),  # two seeds show little of their noise
        (Noise(item=0.1, seed=1.0, item_and_seed=0.1), (2, 2)),  # nothing but seeds
        (Noise(item=0.3, item_and_seed=1.5), (3, 3)),  # runs differ by question, not altogether
        (Noise(seed=0.3, item_and_seed=0.5), (1, 3)),  # the seed noise of one is that of the other
    ],
)
def test_two_level_test_where_seeds_say_little_errs_towards_no_difference(noise: Noise, seeds: tuple[int, int]) -> None:
    by_both, _ = two_levels(noise, seeds)
    assert by_both <= MOST


def test_a_real_difference_is_found() -> None:
    """A gain of half the standard deviation of what an item happens to bring, in each of its translations."""
    random = np.random.default_rng(7)
    apart = differences(random, gain=0.5)
    assert np.mean(randomisation_test(apart, resamples=RESAMPLES, seed=0).p_M <= ALPHA) > 0.8
    found = paired_bootstrap(apart, resamples=RESAMPLES, seed=0, alpha=ALPHA)
    assert np.mean(found.high_M < 0) > 0.8
    by_both, _ = two_levels(Noise(seed=0.1, item_and_seed=0.5), (3, 3), gain=0.5)
    assert by_both > 0.8


def test_holm_keeps_the_rate_of_a_whole_family() -> None:
    """Ten measures of one pair of equal systems, here ten pairs: any of them called different is the false alarm."""
    corrected, raw = [], []
    for number, random in enumerate(batches()):
        p_M = randomisation_test(differences(random), resamples=RESAMPLES, seed=number).p_M
        for p_K in p_M.reshape(-1, 10):
            raw.append(np.any(p_K <= ALPHA))
            corrected.append(np.any(holm(p_K) <= ALPHA))
    assert np.mean(raw) > 0.25
    assert np.mean(corrected) <= MOST
