"""How often the best answer is in the question's own language.

Shape legend: Q questions, L languages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybridbatch.foundation.registries import BIAS_METRICS
from hybridbatch.metrics.bias import BiasMetric, best_language, in_several_languages


def own_language_preference(
    best_rank_QL: NDArray[np.int64], question_language_Q: NDArray[np.int64], candidates: int
) -> NDArray[np.float64]:
    r"""Return 1 for each question whose best-ranked answer is in its own language a, and 0 for every other.

    .. math:: P = [\arg\min_l r_l = a]

    Undefined without an answer in the question's language, and with answers in fewer than two languages, where there is
    nothing to prefer. Without bias its mean is 1 / L for answers in L languages: neither a higher nor a lower mean is
    better as such.

    Source: the observation is LAReQA's (arXiv 2004.05484); the share is this project's.
    """
    if not best_rank_QL.size:
        return np.full(len(best_rank_QL), np.nan)
    own_rank_Q = np.take_along_axis(best_rank_QL, question_language_Q[:, None], axis=1)[:, 0]
    defined_Q = (own_rank_Q > 0) & in_several_languages(best_rank_QL)
    return np.where(defined_Q, best_language(best_rank_QL) == question_language_Q, np.nan)


OWN_LANGUAGE_PREFERENCE = BIAS_METRICS.register("own_language_preference")(
    BiasMetric(
        name="own_language_preference",
        title="own-language preference",
        kernel=own_language_preference,
        direction="none",
    )
)
