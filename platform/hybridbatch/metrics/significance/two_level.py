"""The two-level test for systems that were trained with several seeds: seeds outside, items inside.

Shape legend: I items, M measures, S runs of one system, U nodes of a quadrature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from hybridbatch.metrics.significance.clustered_means import ClusteredMeans, Floats
from hybridbatch.metrics.significance.resampling import rounding
from hybridbatch.metrics.significance.student_t import two_sided_p, two_sided_quantile

_FARTHEST_ODDS, _NODES = 32.0, 129  # of the quadrature: levels from 1e-14 on


@dataclass(frozen=True)
class TwoLevel:
    """Outcome of a two-level test; an interval is NaN for a measure that fewer than two items define.

    Attributes:
        low_M: Lower end of the interval of each measure.
        high_M: Upper end.
        p_M: Two-sided p-value of the difference 0, in (0, 1]: at most alpha where the interval leaves 0 out.
        cautious_p_M: A larger p-value that is no promise broken in the far tail either, for corrections of a family.
        freedom_M: Degrees of freedom of the t distribution.
    """

    low_M: Floats
    high_M: Floats
    p_M: Floats
    cautious_p_M: Floats
    freedom_M: Floats


def two_level_test(first: Sequence[ClusteredMeans], second: Sequence[ClusteredMeans], *, alpha: float) -> TwoLevel:
    r"""Return intervals and p-values of the difference of two systems that hold for other seeds and other questions.

    Percentiles of resamples that draw runs and items are far too narrow with few seeds: from S runs, the variance
    between seeds comes out (S-1)/S of its size and the tails are those of a handful of points, while the noise of the
    questions within a run is counted twice. Instead the variance of each level is made right by itself:

    .. math:: V = \max(V_I + V_A + V_B - V_{IS},\; V_I,\; V_A + V_B), \qquad d \pm t_\nu \sqrt V, \qquad
        \nu = \frac{V^2}{V_I^2/(I-1) + V_A^2/(S_A-1) + V_B^2/(S_B-1)}

    with :math:`V_I` from leaving out each item (the jackknife), for all runs alike; :math:`V_A = s_A^2/S_A` of the runs
    of a system; and :math:`V_{IS}`, what single questions scatter within runs, which is in both levels (two-way
    clustering). Degrees of freedom after Satterthwaite.

    A system with one run is given the seed noise of the other, and the degrees of freedom are the other's alone: with
    Satterthwaite's, up to three times too many equal systems are called different.

    Satterthwaite's degrees make the *5%* right. When a few seeds happen to lie close together, the seeds' part vanishes
    from :math:`V` and the items' many degrees are left: far from 0, where p-values stand that a correction multiplies
    by ten or a hundred, the tail of t is then much too thin. The cautious p-value keeps the uncertainty of the seeds'
    part, whatever it came out as: it is the generalised p-value

    .. math:: p = \mathrm{E}_Q\, 2\Phi\left(-|d| \Big/ \sqrt{V - V_S + V_S\, f/Q}\right), \qquad
        V_S = V_A + V_B,\; Q \sim \chi^2_f,\; f = \frac{V_S^2}{V_A^2/(S_A-1) + V_B^2/(S_B-1)}

    with Welch's degrees of the seeds' part alone. The larger of both p-values is taken.

    Sources: Efron and Stein, *The jackknife estimate of variance*, Annals of Statistics 9, 1981; Cameron, Gelbach and
    Miller, *Robust inference with multiway clustering*, JBES 29, 2011; Satterthwaite, Biometrics 2, 1946; Welch,
    Biometrika 34, 1947; Tsui and Weerahandi, *Generalized p-values in significance testing of hypotheses in the
    presence of nuisance parameters*, JASA 84, 1989.

    Args:
        first: Scores of each run of one system.
        second: Scores of each run of the other, of the same questions.
        alpha: One less the confidence.

    Raises:
        ValueError: If neither system has two runs.
    """
    if max(len(first), len(second)) < 2:
        raise ValueError(f"one system must have several runs, but got {len(first)} and {len(second)}")
    differences = ClusteredMeans(_mean_sums(first) - _mean_sums(second), first[0].counts_IC, first[0].member_CM)
    items_M = np.maximum(differences.items_M, 2)
    by_item_M = _jackknife_variance(differences, items_M)
    noises = [_seed_noise(runs if len(runs) > 1 else others) for runs, others in ((first, second), (second, first))]
    by_seed = [noise.between_M / len(runs) for noise, runs in zip(noises, (first, second), strict=True)]
    within_M = sum(noise.within_M / len(runs) for noise, runs in zip(noises, (first, second), strict=True))
    seeds_M = by_seed[0] + by_seed[1]
    variance_M = np.maximum(by_item_M + seeds_M - within_M, np.maximum(by_item_M, seeds_M))
    freedom_M = of_seeds_M = np.full_like(variance_M, max(len(first), len(second)) - 1)
    if min(len(first), len(second)) > 1:
        freedoms = [np.full_like(variance_M, len(runs) - 1) for runs in (first, second)]
        of_seeds_M = _satterthwaite(seeds_M, by_seed, freedoms)
        freedom_M = _satterthwaite(variance_M, (by_item_M, *by_seed), (items_M - 1.0, *freedoms))
    away_M = _away(differences)
    error_M = np.sqrt(variance_M)
    with np.errstate(divide="ignore"):
        t_M = np.divide(away_M, error_M, out=np.zeros_like(away_M), where=away_M > 0)
    p_M = two_sided_p(t_M, freedom_M)
    cautious_M = np.maximum(p_M, _generalised_p(away_M, variance_M - seeds_M, seeds_M, of_seeds_M))
    half_M = two_sided_quantile(alpha, freedom_M) * error_M
    few_M = differences.items_M < 2
    point_M = differences.point_M
    low_M, high_M = (np.where(few_M, np.nan, end_M) for end_M in (point_M - half_M, point_M + half_M))
    return TwoLevel(low_M, high_M, np.where(few_M, 1.0, p_M), np.where(few_M, 1.0, cautious_M), freedom_M)


def _generalised_p(away_M: Floats, certain_M: Floats, seeds_M: Floats, freedom_M: Floats) -> Floats:
    """Return 2 E Phi(-away / sqrt(certain + seeds f/Q)) over chi-squared Q, by equal steps of its log odds."""
    from scipy.special import gammaincinv, ndtr  # scipy takes long to import

    level_U = 1 / (1 + np.exp(-np.linspace(-_FARTHEST_ODDS, _FARTHEST_ODDS, _NODES)))
    weight_U = level_U * (1 - level_U)
    squares_UM = np.maximum(2 * gammaincinv(freedom_M / 2, level_U[:, None]), np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        error_UM = np.sqrt(certain_M + seeds_M * (freedom_M / squares_UM))
    with np.errstate(divide="ignore"):
        t_UM = np.divide(away_M, error_UM, out=np.zeros_like(error_UM), where=away_M > 0)
    return cast(Floats, np.minimum(2 * weight_U @ ndtr(-t_UM) / weight_U.sum(), 1.0))


def _jackknife_variance(differences: ClusteredMeans, items_M: Floats) -> Floats:
    left_out_IM = differences.without_each()
    away_IM = np.nan_to_num(left_out_IM - np.nanmean(left_out_IM, axis=0)) if len(left_out_IM) > 1 else left_out_IM * 0
    return cast(Floats, np.square(away_IM).sum(axis=0) * (items_M - 1) / items_M)


@dataclass(frozen=True)
class _SeedNoise:
    """What the seeds of a system do to one run.

    Attributes:
        between_M: Variance of the measure between runs.
        within_M: Part of it that is the noise of the questions, which each run answers in its own way.
    """

    between_M: Floats
    within_M: Floats


def _seed_noise(runs: Sequence[ClusteredMeans]) -> _SeedNoise:
    influence_SIM = np.stack([one.influences() for one in runs])
    squares_M = np.square(influence_SIM - influence_SIM.mean(axis=0)).sum(axis=(0, 1))
    items_M = np.maximum(runs[0].items_M, 2)
    within_M = squares_M * items_M / (items_M - 1) / (len(runs) - 1)
    return _SeedNoise(np.var([one.point_M for one in runs], axis=0, ddof=1), within_M)


def _satterthwaite(variance_M: Floats, parts: Sequence[Floats], freedoms: Sequence[Floats]) -> Floats:
    below_M = np.sum([part_M**2 / freedom for part_M, freedom in zip(parts, freedoms, strict=True)], axis=0)
    freedom_M: Floats = np.divide(variance_M**2, below_M, out=np.ones_like(below_M), where=below_M > 0)
    return np.maximum(freedom_M, 1.0)


def _mean_sums(runs: Sequence[ClusteredMeans]) -> Floats:
    return cast(Floats, np.mean([one.sums_IC for one in runs], axis=0))


def _away(differences: ClusteredMeans) -> Floats:
    """Return how far each difference is from 0, 0 where that is less than sums are rounded by."""
    point_M = np.nan_to_num(differences.point_M)
    return np.where(np.abs(point_M) > rounding(differences.contributions()), np.abs(point_M), 0.0)
