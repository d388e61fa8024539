"""Training pairs and retrieval tasks from columns in memory: written once, memory-mapped from then on.

The cache is keyed by content, so nothing in it can be stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hybridbatch.datasets.arrow_cache import cached_table, column_of, table_fingerprint, text_column
from hybridbatch.datasets.parallel_pairs import ParallelPairs, index_items
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.foundation import fingerprint

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

PAIR_COLUMNS = ("item", "language", "query", "passage")


@dataclass
class TaskColumns:
    """A retrieval task while it is put together: one entry a question and one a candidate.

    Attributes:
        items: Item of every question.
        languages: Language of every question.
        questions: Text of every question.
        candidate_languages: Language of every candidate; those of one language lie next to each other.
        candidates: Text of every candidate.
        relevant: For every question the rows of the candidates that answer it, in any order.
    """

    items: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    candidate_languages: list[str] = field(default_factory=list)
    candidates: list[str] = field(default_factory=list)
    relevant: list[Sequence[int]] = field(default_factory=list)


def mapped_pairs(name: str, languages: Sequence[str], rows: Dataset) -> ParallelPairs:
    """Return the training pairs that lie in memory-mapped ``rows``.

    Args:
        name: The data set, as shown to people.
        languages: The languages, in the order of the bits of the masks.
        rows: Table with the columns ``item``, ``language``, ``query``, ``passage``, no nulls.
    """
    items, row_languages = (column_of(rows, column).to_pylist() for column in ("item", "language"))
    return ParallelPairs(
        name=name,
        languages=tuple(languages),
        rows=rows,
        row_IL=index_items(name, items, row_languages, languages),
        fingerprint=table_fingerprint(rows.data.table.select(list(PAIR_COLUMNS)), list(languages)),
    )


def store_pairs(name: str, languages: Sequence[str], cache: Path, table: pa.Table) -> ParallelPairs:
    """Return ``table`` as memory-mapped training pairs; for its columns see :func:`mapped_pairs`."""
    return mapped_pairs(name, languages, _stored(cache, name, table))


def store_task(name: str, languages: Sequence[str], cache: Path, columns: TaskColumns) -> RetrievalTask:
    """Return ``columns`` as a memory-mapped retrieval task.

    Raises:
        UserError: If a text is not valid Unicode.
    """
    import pyarrow as pa

    questions = pa.table(
        {
            "item": text_column(columns.items, name),
            "language": text_column(columns.languages, name),
            "text": text_column(columns.questions, name),
        }
    )
    candidates = pa.table(
        {
            "language": text_column(columns.candidate_languages, name),
            "text": text_column(columns.candidates, name),
        }
    )
    relevant = [np.unique(np.asarray(rows, dtype=np.int64)) for rows in columns.relevant]
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in relevant])]).astype(np.int64)
    flat = np.concatenate(relevant) if relevant else np.empty(0, np.int64)
    content = [table_fingerprint(questions, list(languages)).encode(), table_fingerprint(candidates).encode()]
    content += [offsets.astype("<i8").tobytes(), flat.astype("<i8").tobytes()]
    return RetrievalTask(
        name=name,
        languages=tuple(languages),
        questions=_stored(cache, f"{name}-questions", questions),
        candidates=_stored(cache, f"{name}-candidates", candidates),
        relevant_offsets=offsets,
        relevant_candidates=flat,
        fingerprint=fingerprint.of_bytes(content),
    )


def _stored(cache: Path, name: str, table: pa.Table) -> Dataset:
    return cached_table(cache, f"{name}-{table_fingerprint(table)}", lambda: [table])
