"""Rank distance between the languages of parallel answers.

Shape legend: Q questions, L languages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybridbatch.foundation.registries import BIAS_METRICS
from hybridbatch.metrics.bias import BiasMetric, in_several_languages


def _spread(best_rank_QL: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the largest less the smallest rank over the languages that have one (rank 0 is none)."""
    largest_Q = best_rank_QL.max(axis=1, initial=0)
    beyond = np.iinfo(np.int64).max
    smallest_Q = np.where(best_rank_QL > 0, best_rank_QL, beyond).min(axis=1, initial=beyond)
    spread_Q: NDArray[np.int64] = largest_Q - smallest_Q
    return spread_Q


def rank_distance(
    best_rank_QL: NDArray[np.int64], question_language_Q: NDArray[np.int64], candidates: int
) -> NDArray[np.float64]:
    r"""Return how far apart the pooled ranks of each question's answers in different languages lie.

    .. math:: D = \max_l r_l - \min_l r_l

    with :math:`r_l` the rank of the best answer in language l; undefined with answers in fewer than two languages.
    It grows with the number of candidates.

    Source: the language bias of hybrid batch training, arXiv 2408.10536.
    """
    return np.where(in_several_languages(best_rank_QL), _spread(best_rank_QL), np.nan)


RANK_DISTANCE = BIAS_METRICS.register("rank_distance")(
    BiasMetric(name="rank_distance", title="rank distance", kernel=rank_distance, direction="lower")
)
