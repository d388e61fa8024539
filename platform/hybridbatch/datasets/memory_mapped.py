"""Training pairs and retrieval tasks from columns in memory: written once, memory-mapped from then on.

The cache is keyed by content, so nothing in it can be stale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.arrow_cache import cached_table, stored_fingerprint, table_fingerprint, text_column
from hybridbatch.datasets.item_index import item_index
from hybridbatch.datasets.parallel_pairs import NEGATIVES, ParallelPairs
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.foundation import fingerprint
from hybridbatch.spec.ranking_settings import SETTINGS, Setting

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
        grades: For every question how relevant each of those is, 1 or more; empty when all are equally relevant.
        contrasts: For every question the row of the wrong candidate by language; empty in a task without contrasts.
        ignored: For every question the row of the candidate that is not ranked for it, -1 for none; empty in a task
            without such candidates.
        settings: See :class:`RetrievalTask`.
        is_bitext: See :class:`RetrievalTask`.
    """

    items: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    candidate_languages: list[str] = field(default_factory=list)
    candidates: list[str] = field(default_factory=list)
    relevant: list[Sequence[int]] = field(default_factory=list)
    grades: list[Sequence[int]] = field(default_factory=list)
    contrasts: list[Mapping[str, int]] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)
    settings: tuple[Setting, ...] = SETTINGS
    is_bitext: bool = False


@dataclass(frozen=True)
class CandidatePart:
    """Candidates that lie in the cache already, because they were too many to be put together in memory.

    Attributes:
        rows: Memory-mapped table with the columns ``language``, ``text``; one language, or several in the task's order.
        fingerprint: Fingerprint of its content.
    """

    rows: Dataset
    fingerprint: str


def mapped_pairs(name: str, languages: Sequence[str] | None, rows: Dataset, cache: Path, key: str) -> ParallelPairs:
    """Return the training pairs that :func:`cached_table` keeps as ``key``.

    Args:
        name: The data set, as shown to people.
        languages: The languages, in the order of the bits of the masks; None: those that occur, sorted.
        rows: The table, with the columns ``item``, ``language``, ``query``, ``passage``, no nulls, and where pairs list
            them ``negatives``.
        cache: The cache folder.
        key: Name of the content of the table.

    Raises:
        RepeatedItemError: If an item has two rows in one language.
        UserError: If there are too many languages.
    """
    index = item_index(name, rows, languages, cache, key)
    columns = [column for column in (*PAIR_COLUMNS, NEGATIVES) if column in rows.column_names]
    return ParallelPairs(
        name=name,
        languages=index.languages,
        rows=rows,
        row_IL=index.row_IL,
        language_masks_I=index.masks_I,
        fingerprint=stored_fingerprint(cache, key, columns, list(index.languages)),
    )


def store_pairs(name: str, languages: Sequence[str], cache: Path, table: pa.Table) -> ParallelPairs:
    """Return ``table`` as memory-mapped training pairs; for its columns see :func:`mapped_pairs`."""
    key = _key(name, table)
    return mapped_pairs(name, languages, cached_table(cache, key, lambda: [table]), cache, key)


def store_task(
    name: str,
    languages: Sequence[str],
    cache: Path,
    columns: TaskColumns,
    candidates: Sequence[CandidatePart] | None = None,
) -> RetrievalTask:
    """Return ``columns`` as a memory-mapped retrieval task.

    Args:
        name: The data set, as shown to people.
        languages: The languages.
        cache: The cache folder.
        columns: The task.
        candidates: The candidates, one part after the other, where ``columns`` holds none: its rows of relevant and of
            wrong candidates count through the parts.

    Raises:
        UserError: If a text is not valid Unicode.
    """
    import pyarrow as pa
    from datasets import concatenate_datasets

    questions = pa.table(
        {
            "item": text_column(columns.items, name),
            "language": text_column(columns.languages, name),
            "text": text_column(columns.questions, name),
        }
    )
    parts = candidates if candidates is not None else [_stored_candidates(name, cache, columns)]
    offsets, flat, grades_P = _relevance(columns)
    contrasts_QL = _contrasts(columns, languages)
    ignored_Q = np.array(columns.ignored, dtype=np.int64) if any(row >= 0 for row in columns.ignored) else None
    content = [table_fingerprint(questions, list(languages)).encode(), *(part.fingerprint.encode() for part in parts)]
    content += [offsets.astype("<i8").tobytes(), flat.astype("<i8").tobytes()]
    content += [part.astype("<i8").tobytes() for part in (grades_P, contrasts_QL) if part is not None]
    if ignored_Q is not None:
        content.append(b"ignored" + ignored_Q.astype("<i8").tobytes())
    if columns.settings != SETTINGS or columns.is_bitext:
        content.append(json.dumps([columns.settings, columns.is_bitext]).encode())
    return RetrievalTask(
        name=name,
        languages=tuple(languages),
        questions=_stored(cache, f"{name}-questions", questions),
        candidates=parts[0].rows if len(parts) == 1 else concatenate_datasets([part.rows for part in parts]),
        relevant_offsets=offsets,
        relevant_candidates=flat,
        fingerprint=fingerprint.of_bytes(content),
        grades_P=grades_P,
        contrasts_QL=contrasts_QL,
        ignored_Q=ignored_Q,
        settings=columns.settings,
        is_bitext=columns.is_bitext,
    )


def _stored_candidates(name: str, cache: Path, columns: TaskColumns) -> CandidatePart:
    import pyarrow as pa

    table = pa.table(
        {
            "language": text_column(columns.candidate_languages, name),
            "text": text_column(columns.candidates, name),
        }
    )
    return CandidatePart(_stored(cache, f"{name}-candidates", table), table_fingerprint(table))


def _relevance(columns: TaskColumns) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the offsets by question, the rows of relevant candidates, ascending, each once, and their grades."""
    graded = bool(columns.grades)
    rows, grades = [], []
    for number, answers in enumerate(columns.relevant):
        distinct, place = np.unique(np.asarray(answers, dtype=np.int64), return_index=True)
        rows.append(distinct)
        if graded:
            grades.append(np.asarray(columns.grades[number], dtype=np.int64)[place])
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in rows])]).astype(np.int64)
    empty = np.empty(0, np.int64)
    return offsets, np.concatenate([empty, *rows]), np.concatenate([empty, *grades]) if graded else None


def _contrasts(columns: TaskColumns, languages: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the row of the wrong candidate of each question in each language, -1 where there is none ([Q, L])."""
    if not columns.contrasts:
        return None
    return np.array([[wrong.get(language, -1) for language in languages] for wrong in columns.contrasts], np.int64)


def _stored(cache: Path, name: str, table: pa.Table) -> Dataset:
    return cached_table(cache, _key(name, table), lambda: [table])


def _key(name: str, table: pa.Table) -> str:
    return f"{name}-{table_fingerprint(table)}"
