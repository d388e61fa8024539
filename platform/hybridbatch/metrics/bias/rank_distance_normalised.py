"""Rank distance as a share of the longest distance that the pool allows.

Shape legend: Q questions, L languages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybridbatch.foundation.registries import BIAS_METRICS
from hybridbatch.metrics.bias import BiasMetric
from hybridbatch.metrics.bias.rank_distance import rank_distance


def rank_distance_normalised(
    best_rank_QL: NDArray[np.int64], question_language_Q: NDArray[np.int64], candidates: int
) -> NDArray[np.float64]:
    r"""Return the rank distance of each question divided by the longest possible, so that pools of any size compare.

    .. math:: D_n = \frac{\max_l r_l - \min_l r_l}{N - 1}

    with N the number of candidates in the pool; undefined with answers in fewer than two languages.

    Source: rank distance of arXiv 2408.10536; the division is this project's.
    """
    # two languages need two candidates, so a pool of one never has a distance to divide
    return rank_distance(best_rank_QL, question_language_Q, candidates) / max(candidates - 1, 1)


RANK_DISTANCE_NORMALISED = BIAS_METRICS.register("rank_distance_normalised")(
    BiasMetric(
        name="rank_distance_normalised",
        title="rank distance / (N - 1)",
        kernel=rank_distance_normalised,
        direction="lower",
    )
)
