"""Statistical tests against arithmetic done by hand, and against scipy.

Shape legend: I items, C cells, M measures, B resamples.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from hybridbatch.metrics.significance.bootstrap import paired_bootstrap
from hybridbatch.metrics.significance.clustered_means import ClusteredMeans
from hybridbatch.metrics.significance.holm import holm
from hybridbatch.metrics.significance.randomisation import randomisation_test
from hybridbatch.metrics.significance.resampling import item_counts
from hybridbatch.metrics.significance.student_t import two_sided_p, two_sided_quantile
from hybridbatch.metrics.significance.two_level import two_level_test


def means(sums_IC: ArrayLike, counts_IC: ArrayLike | None = None, member_CM: ArrayLike | None = None) -> ClusteredMeans:
    sums = np.array(sums_IC, dtype=np.float64)
    counts = np.ones_like(sums) if counts_IC is None else np.array(counts_IC, dtype=np.float64)
    member = np.ones((sums.shape[1], 1)) if member_CM is None else np.array(member_CM, dtype=np.float64)
    return ClusteredMeans(sums, counts, member)


# Item 0 is asked in both cells, item 1 twice in the first, item 2 in the second alone.
SMALL = means([[0.5, 1.0], [1.0, 0.0], [0.0, 0.4]], [[1, 1], [2, 0], [0, 1]], [[1, 1, 0], [1, 0, 1]])


def test_means_by_hand() -> None:
    first, second = 1.5 / 3, 1.4 / 2
    assert SMALL.point_M == pytest.approx([(first + second) / 2, first, second], abs=1e-15)
    assert SMALL.items_M.tolist() == [3, 2, 2]
    counts_BI = np.array([[3.0, 0, 0], [0, 3, 0], [1, 0, 2]])
    expected = [[(0.5 + 1) / 2, 0.5, 1], [0.5, 0.5, math.nan], [(0.5 + 1.8 / 3) / 2, 0.5, 1.8 / 3]]
    np.testing.assert_allclose(SMALL.resampled(counts_BI), expected, atol=1e-15)
    without = [[(0.5 + 0.4) / 2, 0.5, 0.4], [(0.5 + 0.7) / 2, 0.5, 0.7], [(0.5 + 1) / 2, 0.5, 1]]
    np.testing.assert_allclose(SMALL.without_each(), without, atol=1e-15)
    np.testing.assert_allclose(
        SMALL.contributions(), [[0.5 / 6 + 1 / 4, 0.5 / 3, 0.5], [1 / 6, 1 / 3, 0], [0.4 / 4, 0, 0.2]], atol=1e-15
    )
    np.testing.assert_allclose(SMALL.influences()[:, 1], [0, 0, 0], atol=1e-15)
    np.testing.assert_allclose(SMALL.influences()[:, 2], [0.3 / 2, 0, -0.3 / 2], atol=1e-15)


def test_a_cell_without_a_question_is_left_out() -> None:
    one = means([[1.0, 0.0], [0.0, 0.0]], [[1, 0], [1, 0]])
    assert one.point_M == pytest.approx([0.5])
    assert one.contributions().sum() == pytest.approx(0.5)
    assert math.isnan(means([[0.0]], [[0]]).point_M[0])


def test_as_many_items_are_drawn_as_there_are() -> None:
    drawn = np.concatenate(list(item_counts(40_000, 60, seed=3)))  # more than one block
    assert drawn.shape == (60, 40_000)
    assert np.all(drawn.sum(axis=1) == 40_000)
    assert not np.array_equal(drawn[0], drawn[1])
    assert drawn.var() == pytest.approx(1.0, abs=0.01)  # of a multinomial with n draws from n


# The randomisation test


def test_randomisation_of_three_items_by_hand() -> None:
    found = randomisation_test(means([[3.0], [2.0], [-1.0]]), resamples=100, seed=0)
    # |sum| of the eight sign patterns: 4, 6, 0, 2 and again; at least the observed 4: four of eight
    assert (found.exact, found.p_M.tolist()) == (True, [0.5])


def test_randomisation_flips_all_translations_of_an_item_at_once() -> None:
    together = means([[0.5, 0.5], [0.25, 0.25]])
    assert randomisation_test(together, resamples=100, seed=0).p_M.tolist() == [0.5]  # 2 of 4
    single = means([[0.5], [0.5], [0.25], [0.25]])
    assert randomisation_test(single, resamples=100, seed=0).p_M.tolist() == [0.125]  # 2 of 16


@pytest.mark.parametrize("items", [1, 4, 9])
def test_randomisation_equals_every_sign_pattern(items: int) -> None:
    values_I = np.random.default_rng(items).integers(-3, 4, items) / 7  # sevenths, so that sums round and many tie
    sums = [abs(sum(sign * value for sign, value in zip(signs, values_I, strict=True))) for signs in
            product((1, -1), repeat=items)]  # fmt: skip
    expected = np.mean([one >= abs(values_I.sum()) - 1e-9 for one in sums])
    found = randomisation_test(means(values_I[:, None]), resamples=1000, seed=0)
    assert found.exact
    assert found.p_M[0] == pytest.approx(expected, abs=1e-15)


def test_drawn_signs_come_near_the_exact_p() -> None:
    values_IC = np.random.default_rng(0).normal(0.4, 1, (14, 1))
    exact = randomisation_test(means(values_IC), resamples=2**14, seed=0)
    drawn = randomisation_test(means(values_IC), resamples=2**14 - 1, seed=0)
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.p_M[0] == pytest.approx(exact.p_M[0], abs=0.01)
    theirs = stats.permutation_test((values_IC[:, 0],), np.mean, permutation_type="samples", n_resamples=2**14)
    assert exact.p_M[0] == pytest.approx(theirs.pvalue, abs=1e-12)


def test_drawn_signs_never_give_0() -> None:
    found = randomisation_test(means(np.ones((60, 1))), resamples=999, seed=0)
    assert found.p_M.tolist() == [1 / 1000]


# The bootstrap


@pytest.mark.parametrize(("interval", "method"), [("bca", "BCa"), ("percentile", "percentile")])
def test_bootstrap_agrees_with_scipy(interval: str, method: str) -> None:
    values_I = np.random.default_rng(1).gamma(1.0, 1.0, 60) - 0.8
    ours = paired_bootstrap(
        means(values_I[:, None]), resamples=40_000, seed=0, alpha=0.1, interval=interval  # type: ignore[arg-type]
    )  # fmt: skip
    theirs = stats.bootstrap(
        (values_I,), np.mean, n_resamples=40_000, confidence_level=0.9, method=method, rng=0
    ).confidence_interval
    assert (ours.low_M[0], ours.high_M[0]) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_bootstrap_of_two_items_by_hand() -> None:
    """Resamples of the differences 0 and 1 are 0, 1/2, 1/2 and 1; at least 1/2 away from 1/2: half of them."""
    found = paired_bootstrap(means([[0.0], [1.0]]), resamples=20_000, seed=0, alpha=0.05, interval="percentile")
    assert (found.low_M[0], found.high_M[0]) == (0.0, 1.0)
    assert found.p_M[0] == pytest.approx(0.5, abs=0.01)


def test_a_bootstrap_repeats_itself_and_another_seed_differs() -> None:
    one = means(np.random.default_rng(0).normal(size=(30, 2)))
    first, again, other = (paired_bootstrap(one, resamples=500, seed=seed, alpha=0.05) for seed in (1, 1, 2))
    assert (first.low_M, first.p_M) == (again.low_M, again.p_M)
    assert first.low_M != other.low_M


def test_a_resample_without_any_question_of_a_measure_is_left_out() -> None:
    sums_IC, counts_IC = np.zeros((20, 1)), np.zeros((20, 1))
    sums_IC[:2, 0], counts_IC[:2] = (1.0, 3.0), 1
    found = paired_bootstrap(means(sums_IC, counts_IC), resamples=2000, seed=0, alpha=0.05, interval="percentile")
    assert (found.low_M[0], found.high_M[0]) == (1.0, 3.0)
    assert 0 < found.p_M[0] < 0.05


# Degenerate cases


def test_one_item_says_nothing() -> None:
    one = means([[0.3]])
    bootstrap = paired_bootstrap(one, resamples=100, seed=0, alpha=0.05)
    both = two_level_test([one, means([[0.5]])], [means([[0.1]])], alpha=0.05)
    for found in (bootstrap, both):
        assert math.isnan(found.low_M[0])
        assert math.isnan(found.high_M[0])
        assert found.p_M.tolist() == [1.0]
    assert randomisation_test(one, resamples=100, seed=0).p_M.tolist() == [1.0]


def test_no_difference_at_all() -> None:
    nothing, runs = means(np.zeros((30, 2))), [means(np.full((30, 2), 0.5))] * 2
    bootstrap = paired_bootstrap(nothing, resamples=100, seed=0, alpha=0.05)
    both = two_level_test(runs, runs, alpha=0.05)
    for found in (bootstrap, both):
        assert (found.low_M[0], found.high_M[0], found.p_M[0]) == (0.0, 0.0, 1.0)
    assert randomisation_test(nothing, resamples=100, seed=0).p_M.tolist() == [1.0]


def test_the_same_difference_everywhere() -> None:
    same = means(np.full((30, 1), 0.1))
    bootstrap = paired_bootstrap(same, resamples=999, seed=0, alpha=0.05)
    assert (bootstrap.low_M[0], bootstrap.high_M[0]) == pytest.approx((0.1, 0.1), abs=1e-12)
    one, other = means(np.full((30, 1), 0.5)), means(np.full((30, 1), 0.4))
    both = two_level_test([one, one], [other, other], alpha=0.05)
    assert (both.low_M[0], both.high_M[0], both.p_M[0]) == pytest.approx((0.1, 0.1, 0.0), abs=1e-12)


# The two-level test


def test_seeds_alone_give_welchs_t_test() -> None:
    """Every item has the same score in a run: what is left is a t-test of the runs."""
    levels = ([0.50, 0.54, 0.58], [0.40, 0.41])
    first, second = ([means(np.full((40, 1), level)) for level in runs] for runs in levels)
    found = two_level_test(first, second, alpha=0.05)
    theirs = stats.ttest_ind(*levels, equal_var=False)
    assert found.p_M[0] == pytest.approx(theirs.pvalue, rel=1e-9)
    interval = theirs.confidence_interval(0.95)
    assert (found.low_M[0], found.high_M[0]) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.freedom_M[0] == pytest.approx(theirs.df, rel=1e-9)


def test_items_alone_give_a_paired_t_test() -> None:
    """Both runs of a system have the same scores: what is left is a t-test of the items."""
    random = np.random.default_rng(4)
    one, other = random.normal(0.5, 0.2, (60, 1)), random.normal(0.42, 0.2, (60, 1))
    found = two_level_test([means(one)] * 2, [means(other)] * 2, alpha=0.05)
    theirs = stats.ttest_rel(one[:, 0], other[:, 0])
    assert found.p_M[0] == pytest.approx(theirs.pvalue, rel=1e-9)
    interval = theirs.confidence_interval(0.95)
    assert (found.low_M[0], found.high_M[0]) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_one_run_is_given_the_seed_noise_of_the_other() -> None:
    single, several = [means(np.full((40, 1), 0.6))], [means(np.full((40, 1), level)) for level in (0.4, 0.42, 0.44)]
    found = two_level_test(single, several, alpha=0.05)
    half = stats.t.isf(0.025, 2) * 0.02 * math.sqrt(1 + 1 / 3)  # standard deviation .02, two degrees of freedom
    assert (found.low_M[0], found.high_M[0]) == pytest.approx((0.18 - half, 0.18 + half), rel=1e-9)
    mirrored = two_level_test(several, single, alpha=0.05)
    assert mirrored.p_M[0] == pytest.approx(found.p_M[0], rel=1e-9)
    with pytest.raises(ValueError, match="several runs"):
        two_level_test(single, single, alpha=0.05)


def test_students_t_equals_scipys() -> None:
    freedom_M = np.array([1, 1.37, 2, 3.5, 10, 120, 1e5])
    for t in (0.0, 1e-3, 0.3, 1.0, 2.5, 40.0, 1e9, math.inf):
        expected_M = 2 * stats.t.sf(t, freedom_M)
        np.testing.assert_allclose(two_sided_p(np.full(7, t), freedom_M), expected_M, rtol=1e-7)
    for alpha in (0.5, 0.05, 1e-3, 1e-6):
        expected_M = stats.t.isf(alpha / 2, freedom_M)
        np.testing.assert_allclose(two_sided_quantile(alpha, freedom_M), expected_M, rtol=1e-7)


# Holm


def test_holm_by_hand() -> None:
    # ascending .01 x 4, .02 x 3, .03 x 2 (not below .06), .5 x 1
    assert holm(np.array([0.03, 0.01, 0.5, 0.02])) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm(np.array([0.4, 0.9])) == pytest.approx([0.8, 0.9])
    assert holm(np.array([0.6, 0.7, 0.8])).tolist() == [1.0, 1.0, 1.0]
    assert holm(np.array([])).tolist() == []
