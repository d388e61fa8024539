"""Which passages of a language a model takes for answers to each question, without those that may well be answers.

The limits are those of NV-Retriever ("Improving text embedding models with effective hard-negative mining", Moreira et
al., arXiv 2407.15831): a negative scores at most the positive less a margin (TopK-MarginPos), or less a
share of it (TopK-PercPos).

Shape legend: Q questions, each with a passage of its own; U distinct passages, D width of an embedding, T looked at,
K kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybridbatch.evaluation.corpus_search import TILE_BYTES, BestOfTiles, BestPassages, check_search
from hybridbatch.evaluation.exact_scores import lengths, pair_scores


@dataclass(frozen=True)
class Filters:
    """What remains of the best passages of a question; see :class:`MinedNegatives`, whose settings these are."""

    depth: int
    skip: int
    margin: float | None
    relative_margin: float | None
    keep: int


def mine(
    questions_QD: NDArray[np.float32],
    passages_QD: NDArray[np.float32],
    text_hashes_Q: NDArray[np.uint64],
    groups_Q: NDArray[np.int64],
    filters: Filters,
) -> tuple[NDArray[np.int64], Mapping[str, int]]:
    """Return the hard negatives of each question, as numbers of the questions whose passages they are, and counts.

    The search is exact: scores hang on the two embeddings alone, and of equal scores the lower number goes first. A
    passage that several questions have stands once, under the first of them.

    Args:
        questions_QD: Embeddings of the questions.
        passages_QD: Embeddings of their passages.
        text_hashes_Q: Equal for equal passages.
        groups_Q: Equal for questions whose passages are no negatives of each other; all questions with an equal passage
            have one.
        filters: What remains.

    Returns:
        Numbers [Q, K], hardest first, -1 behind the last; and how many passages were ``looked_at``, ``own`` (of the
        question's group), ``skipped``, ``too_close`` to the positive, ``not_needed`` beyond those to keep, ``kept``;
        and how many questions there are, and are left without any.
    """
    first_U, own_Q = _distinct(text_hashes_Q)
    passages_UD = passages_QD[first_U]
    best = _best(questions_QD, passages_UD, filters.depth)
    there_QT = best.index_QK >= 0
    own_QT = there_QT & (groups_Q[first_U][best.index_QK] == groups_Q[:, None])
    others_QT = there_QT & ~own_QT
    skipped_QT = others_QT & (others_QT.cumsum(axis=1) <= filters.skip)
    limit_Q = _limits(pair_scores(questions_QD, passages_UD, np.arange(len(own_Q)), own_Q), filters)
    close_QT = others_QT & ~skipped_QT & (best.scores_QK > limit_Q[:, None])
    passed_QT = others_QT & ~skipped_QT & ~close_QT
    kept_QT = passed_QT & (passed_QT.cumsum(axis=1) <= filters.keep)
    found_QK = np.full((len(own_Q), min(filters.keep, filters.depth)), -1, dtype=np.int64)
    question_N, place_N = np.nonzero(kept_QT)
    found_QK[question_N, kept_QT.cumsum(axis=1)[question_N, place_N] - 1] = first_U[best.index_QK[question_N, place_N]]
    counts = {
        "looked_at": int(there_QT.sum()),
        "own": int(own_QT.sum()),
        "skipped": int(skipped_QT.sum()),
        "too_close": int(close_QT.sum()),
        "not_needed": int((passed_QT & ~kept_QT).sum()),
        "kept": int(kept_QT.sum()),
        "questions": len(own_Q),
        "questions_without": int((~kept_QT.any(axis=1)).sum()),
    }
    return found_QK, counts


def _distinct(text_hashes_Q: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first question with each distinct passage [U], ascending, and which of these each one has [Q]."""
    _, first_U, passage_Q = np.unique(text_hashes_Q, return_index=True, return_inverse=True)
    order_U = np.argsort(first_U)
    return first_U[order_U], np.argsort(order_U)[passage_Q]


def _best(questions_QD: NDArray[np.float32], passages_UD: NDArray[np.float32], depth: int) -> BestPassages:
    check_search(questions_QD, passages_UD.shape[1], depth)
    best = BestOfTiles(questions_QD, depth)
    tile = max(1, TILE_BYTES // (4 * passages_UD.shape[1]))
    for first in range(0, len(passages_UD), tile):
        passages_TD = np.ascontiguousarray(passages_UD[first : first + tile])
        best.add(first, passages_TD, float(lengths(passages_TD).max()))
    return best.best


def _limits(positive_Q: NDArray[np.float32], filters: Filters) -> NDArray[np.float64]:
    """Return the highest score that a negative of each question may have."""
    exact_Q = positive_Q.astype(np.float64)
    limit_Q = np.full(len(exact_Q), np.inf)
    if filters.margin is not None:
        limit_Q = np.minimum(limit_Q, exact_Q - filters.margin)
    if filters.relative_margin is not None:  # of its size: a share of a negative score would lie above it
        limit_Q = np.minimum(limit_Q, exact_Q - filters.relative_margin * np.abs(exact_Q))
    return limit_Q
