"""Normalised discounted cumulative gain at a cut-off, for relevance that is yes or no.

Shape legend: Q questions, R most relevant candidates that a question has.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from hybridbatch.foundation.registries import RANKING_METRICS
from hybridbatch.metrics.ranking import RankingMetric


def _gain(ranks_QR: NDArray[np.int64], cutoff: int) -> NDArray[np.float64]:
    """Return the sum of the discounts 1 / log2(r + 1) of the ranks within ``cutoff``."""
    counted_QR = (ranks_QR > 0) & (ranks_QR <= cutoff)
    gain_Q: NDArray[np.float64] = np.where(counted_QR, 1.0 / np.log2(np.maximum(ranks_QR, 1) + 1.0), 0.0).sum(axis=1)
    return gain_Q


def ndcg(ranks_QR: NDArray[np.int64], cutoff: int) -> NDArray[np.float64]:
    r"""Return the nDCG of each question among its best ``cutoff`` candidates; a relevant candidate gains 1.

    .. math:: nDCG@k = \frac{\sum_{j : r_j \le k} 1 / \log_2(r_j + 1)}{\sum_{i=1}^{\min(R, k)} 1 / \log_2(i + 1)}

    Source: Järvelin and Kekäläinen, "Cumulated Gain-based Evaluation of IR Techniques", ACM TOIS 20(4), 2002
    (trec_eval's ``ndcg_cut``).
    """
    relevant_Q1 = np.count_nonzero(ranks_QR, axis=1)[:, None]
    places_R = np.arange(1, ranks_QR.shape[1] + 1)
    ideal_QR = np.where(places_R <= relevant_Q1, places_R, 0)
    ideal_Q = _gain(ideal_QR, cutoff)
    return _gain(ranks_QR, cutoff) / np.where(ideal_Q > 0, ideal_Q, np.nan)


NDCG_10 = RANKING_METRICS.register("ndcg10")(
    RankingMetric(name="ndcg10", title="nDCG@10", kernel=partial(ndcg, cutoff=10))
)
