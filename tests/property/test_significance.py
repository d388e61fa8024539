"""What holds for the statistical tests whatever the scores are.

Shape legend: I items, C cells, M measures.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridbatch.metrics.significance.bootstrap import paired_bootstrap
from hybridbatch.metrics.significance.clustered_means import ClusteredMeans
from hybridbatch.metrics.significance.holm import holm
from hybridbatch.metrics.significance.randomisation import randomisation_test
from hybridbatch.metrics.significance.two_level import two_level_test

RESAMPLES = 199


@st.composite
def differences(draw: st.DrawFn) -> ClusteredMeans:
    """Draw differences with few distinct values, so that many tie, of items that lack cells here and there."""
    items, cells = draw(st.integers(1, 25)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    distinct = draw(st.sampled_from([1, 3, 10**6]))
    counts_IC = random.integers(0, 3, (items, cells)) * (random.random((items, cells)) < draw(st.floats(0.3, 1)))
    counts_IC[random.integers(items), :] = 1  # a cell that nobody asks in is left out long before
    sums_IC = random.integers(-distinct, distinct + 1, (items, cells)) / distinct * counts_IC
    member_CM = np.eye(cells) if draw(st.booleans()) else np.ones((cells, 1))
    return ClusteredMeans(sums_IC, counts_IC.astype(np.float64), member_CM)


@given(differences(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_turned_round_everything_changes_its_sign_and_nothing_else(one: ClusteredMeans, seed: int) -> None:
    other = ClusteredMeans(-one.sums_IC, one.counts_IC, one.member_CM)
    for interval in ("bca", "percentile"):
        here, there = (
            paired_bootstrap(side, resamples=RESAMPLES, seed=seed, alpha=0.1, interval=interval)  # type: ignore[arg-type]
            for side in (one, other)
        )
        np.testing.assert_array_equal(here.p_M, there.p_M)
        np.testing.assert_allclose(here.low_M, -there.high_M, atol=1e-9)
        np.testing.assert_allclose(here.high_M, -there.low_M, atol=1e-9)
    exchanged = [randomisation_test(side, resamples=RESAMPLES, seed=seed) for side in (one, other)]
    np.testing.assert_array_equal(exchanged[0].p_M, exchanged[1].p_M)


@given(differences(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_probabilities_are_above_0_and_intervals_hold_the_difference(one: ClusteredMeans, seed: int) -> None:
    found = paired_bootstrap(one, resamples=RESAMPLES, seed=seed, alpha=0.1, interval="percentile")
    tested = randomisation_test(one, resamples=RESAMPLES, seed=seed)
    for p_M in (found.p_M, tested.p_M):
        assert np.all((p_M > 0) & (p_M <= 1))
    few_M = one.items_M < 2
    np.testing.assert_array_equal(np.isnan(found.low_M), few_M)
    assert np.all(found.p_M[few_M] == 1)
    assert np.all(found.low_M[~few_M] <= found.high_M[~few_M])


@given(st.integers(2, 20), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_intervals_of_symmetric_differences_hold_0(pairs: int, seed: int) -> None:
    values_I = np.random.default_rng(seed).normal(size=pairs)
    both = np.concatenate([values_I, -values_I])[:, None]
    one = ClusteredMeans(both, np.ones_like(both), np.ones((1, 1)))
    for interval in ("bca", "percentile"):
        found = paired_bootstrap(one, resamples=RESAMPLES, seed=seed, alpha=0.05, interval=interval)  # type: ignore[arg-type]
        assert found.low_M[0] <= 0 <= found.high_M[0]
    assert randomisation_test(one, resamples=RESAMPLES, seed=seed).p_M[0] == 1.0


@given(differences())
@settings(max_examples=60, deadline=None)
def test_contributions_sum_to_the_measure_and_influences_to_nothing(one: ClusteredMeans) -> None:
    np.testing.assert_allclose(one.contributions().sum(axis=0), one.point_M, atol=1e-12)
    np.testing.assert_allclose(one.influences().sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(one.resampled(np.ones((1, one.items)))[0], one.point_M, atol=1e-12)
    np.testing.assert_allclose(one.resampled(np.full((1, one.items), 3.0))[0], one.point_M, atol=1e-12)


@given(differences(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_order_of_the_items_does_not_matter_to_the_exact_test(one: ClusteredMeans, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(one.items)[:8]
    there = ClusteredMeans(one.sums_IC[order], one.counts_IC[order], one.member_CM)
    again = ClusteredMeans(there.sums_IC[::-1], there.counts_IC[::-1], one.member_CM)
    here, turned = (randomisation_test(side, resamples=300, seed=0) for side in (there, again))
    assert here.exact
    np.testing.assert_array_equal(here.p_M, turned.p_M)


@given(differences(), st.integers(2, 4), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_two_levels_turn_round_and_a_system_does_not_differ_from_itself(
    one: ClusteredMeans, runs: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    sides = [
        [
            ClusteredMeans(random.normal(size=one.sums_IC.shape) * one.counts_IC, one.counts_IC, one.member_CM)
            for _ in range(runs)
        ]
        for _ in range(2)
    ]
    here, there = (two_level_test(*pair, alpha=0.1) for pair in (sides, sides[::-1]))
    assert np.all((here.p_M > 0) & (here.p_M <= here.cautious_p_M) & (here.cautious_p_M <= 1))
    few_M = one.items_M < 2
    np.testing.assert_allclose(here.p_M, there.p_M, rtol=1e-9)
    np.testing.assert_allclose(here.low_M, -there.high_M, rtol=1e-9, atol=1e-9)
    same = two_level_test(sides[0], sides[0], alpha=0.1)
    assert np.all(same.p_M == 1)
    assert np.all((same.low_M <= 0)[~few_M] & (same.high_M >= 0)[~few_M])


@given(st.lists(st.floats(0, 1, exclude_min=True), max_size=20))
def test_holm_keeps_the_order_and_lies_between_raw_and_bonferroni(values: list[float]) -> None:
    raw_K = np.array(values)
    corrected_K = holm(raw_K)
    assert np.all(corrected_K >= raw_K)
    assert np.all(corrected_K <= np.minimum(raw_K * len(raw_K), 1) + 1e-12)
    order_K = np.argsort(raw_K, kind="stable")
    assert np.all(np.diff(corrected_K[order_K]) >= 0)
    np.testing.assert_allclose(holm(raw_K[::-1]), corrected_K[::-1])
