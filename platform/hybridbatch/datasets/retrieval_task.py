"""Questions, candidates, and which candidates answer which question.

Shape legend: Q questions, N candidates, P relevant pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class RetrievalTask:
    """A multilingual retrieval task.

    Attributes:
        name: The data set, as shown to people.
        languages: The languages of questions and candidates.
        questions: Memory-mapped table with the columns ``item`` (the same question in other languages has the same
            item), ``language``, ``text``.
        candidates: Memory-mapped table with the columns ``language``, ``text``; the candidates of one language lie
            next to each other, in the order of :attr:`languages`. Candidates with equal texts are kept.
        relevant_offsets: Question ``q`` is answered by ``relevant_candidates[offsets[q]:offsets[q + 1]]`` (int64,
            [Q + 1]).
        relevant_candidates: Rows of :attr:`candidates`, ascending within a question (int64, [P]).
        fingerprint: Fingerprint of the content.
    """

    name: str
    languages: tuple[str, ...]
    questions: Dataset
    candidates: Dataset
    relevant_offsets: NDArray[np.int64]
    relevant_candidates: NDArray[np.int64]
    fingerprint: str
