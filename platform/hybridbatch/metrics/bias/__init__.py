"""Measures of language bias, one file each: from the pooled ranks of parallel answers to a figure per question.

Shape legend: Q questions, L languages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Direction = Literal["lower", "higher", "none"]


@dataclass(frozen=True)
class BiasMetric:
    """A measure of how differently the languages are treated in one pooled ranking.

    Attributes:
        name: The registered name, under which its mean is reported.
        title: The name as a report prints it.
        kernel: Function of ``best_rank_QL``, the 1-based rank of the best relevant candidate in each language among all
            candidates pooled, 0 where there is none (int64); ``question_language_Q``, the column of each question's own
            language (int64); and the number of candidates in the pool. Returns a figure for each question (float64,
            [Q]), NaN where it is undefined.
        direction: Which figure is better: ``lower``, ``higher``, or ``none`` when the aim is a chance level in between.
    """

    name: str
    title: str
    kernel: Callable[[NDArray[np.int64], NDArray[np.int64], int], NDArray[np.float64]]
    direction: Direction


def best_language(best_rank_QL: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the column of the language whose answer ranks best; rank 0 is none. Two answers never share a rank."""
    beyond = np.iinfo(np.int64).max
    column_Q: NDArray[np.int64] = np.where(best_rank_QL > 0, best_rank_QL, beyond).argmin(axis=1)
    return column_Q


def in_several_languages(best_rank_QL: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which questions have relevant candidates in two languages or more: the others cannot show a bias."""
    several_Q: NDArray[np.bool_] = np.count_nonzero(best_rank_QL, axis=1) > 1
    return several_Q
