"""Report text that stands in the training data.

Texts are compared in NFKC, case-folded, without punctuation, symbols and spaces. A question or candidate of a report
set counts as leaked when it equals a training query or passage, or one or more whole sentences of it. Two limits keep
chance out: texts below :data:`~hybridbatch.datasets.text_identity.LEAST_EVIDENCE` characters are not compared at all
(headings such as "Introduction" stand everywhere), and those below
:data:`~hybridbatch.evaluation.contained_texts.WINDOW` characters only with whole texts. Paraphrases, translations and
parts of sentences are not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.datasets.text_identity import LEAST_EVIDENCE, is_evidence
from hybridbatch.evaluation.contained_texts import WINDOW, Chunk, WantedTexts, normalised_sentences
from hybridbatch.foundation.errors import UserError, shorten

if TYPE_CHECKING:
    import pyarrow as pa

SLICE = 500  # texts read at a time
CHUNK = 1 << 20  # characters hashed at a time
Kind = Literal["query", "passage", "negative"]
EXAMPLES = 3
EXAMPLE_LENGTH = 120  # characters
NOTHING_SHARED = "no training text equals a report text or holds it as a sentence, after normalisation"


@dataclass(frozen=True)
class Overlap:
    """Texts of one report set that stand in the training texts of one kind.

    Attributes:
        train: Name of the training set.
        report: Name of the report set.
        kind: Whether they stand in queries, passages or negatives of the training set; in the report set they may
            be questions or candidates.
        count: Number of distinct texts of the report set, after normalisation.
        examples: Up to :data:`EXAMPLES` of them as they stand in the report set, cut to :data:`EXAMPLE_LENGTH`.
    """

    train: str
    report: str
    kind: Kind
    count: int
    examples: tuple[str, ...]

    def statement(self) -> str:
        """Return the overlap in words."""
        places = {"query": "queries", "passage": "passages", "negative": "listed negatives"}[self.kind]
        texts = "1 text of {} stands" if self.count == 1 else f"{self.count} texts of {{}} stand"
        return f"{texts.format(self.report)} in {places} of {self.train} after normalisation"


def find_overlap(train: Sequence[ParallelPairs], report: Sequence[RetrievalTask]) -> list[Overlap]:
    """Return where a training query, passage or negative equals or holds a question or candidate of a report set.

    Texts are read through the memory map, a chunk at a time; of report texts only hashes are kept. A training set need
    not have all of these columns.
    """
    wanted = [(task, _wanted(task)) for task in report]
    overlaps: list[Overlap] = []
    for pairs in train:
        for kind, column in _training_texts(pairs):
            found: list[set[int]] = [set() for _ in wanted]
            for _, texts in _normalised_chunks(column) if wanted else ():
                chunk = Chunk.of(texts)
                for rows, (_, texts_wanted) in zip(found, wanted, strict=True):
                    rows.update(texts_wanted.rows_W[texts_wanted.found_in(chunk)].tolist())
            for rows, (task, _) in zip(found, wanted, strict=True):
                if rows:
                    examples = tuple(_text(task, row) for row in sorted(rows)[:EXAMPLES])
                    overlaps.append(Overlap(pairs.name, task.name, kind, len(rows), examples))
    return overlaps


def refuse_overlap(overlaps: Sequence[Overlap], allow_reason: str | None) -> tuple[str, ...]:
    """Return what is to be recorded about shared text beside every figure.

    Args:
        overlaps: What :func:`find_overlap` found.
        allow_reason: The reason of ``data.allow_overlap``; None when it is not given.

    Raises:
        UserError: If there is an overlap and no reason to allow it.
    """
    if not overlaps:
        return (NOTHING_SHARED,)
    statements = tuple(overlap.statement() for overlap in overlaps)
    if allow_reason is None:
        raise UserError(
            f"text of a report set stands in the training data: {'; '.join(statements)}",
            path="data",
            seen=overlaps[0].examples[0],
            allowed="report sets that share no text with the training sets",
            remedy="leave out the training set or the report set, or give data.allow_overlap with a reason, "
            "which is recorded beside every figure",
        )
    return (*statements, f"allowed because: {allow_reason}")


def _training_texts(pairs: ParallelPairs) -> Iterator[tuple[Kind, pa.ChunkedArray]]:
    kinds: tuple[Literal["query", "passage"], ...] = ("query", "passage")
    for kind in kinds:
        if kind in pairs.rows.column_names:
            yield kind, column_of(pairs.rows, kind)
    if pairs.negatives is not None:
        yield "negative", pairs.negatives.texts


def _wanted(task: RetrievalTask) -> WantedTexts:
    """Return the texts of a task: questions, then candidates, numbered through."""
    wholes, windows, lengths, rows = [], [], [], []
    for first_row, table in ((0, task.questions), (len(task.questions), task.candidates)):
        for first, texts in _normalised_chunks(column_of(table, "text")):
            chunk = Chunk.of(texts)
            kept = np.flatnonzero([is_evidence("".join(sentences), LEAST_EVIDENCE) for sentences in texts])
            wholes.append(chunk.wholes_T[kept])
            windows.append(chunk.hashes(chunk.starts_T[kept], np.minimum(chunk.lengths_T[kept], WINDOW)))
            lengths.append(chunk.lengths_T[kept])
            rows.append(first_row + first + kept)
    return WantedTexts.of(
        np.concatenate(wholes), np.concatenate(windows), np.concatenate(lengths), np.concatenate(rows)
    )


def _text(task: RetrievalTask, row: int) -> str:
    """Return a question or candidate by its number in :func:`_wanted`."""
    questions = len(task.questions)
    table, row = (task.questions, row) if row < questions else (task.candidates, row - questions)
    return shorten(column_of(table, "text")[row].as_py(), EXAMPLE_LENGTH)


def _normalised_chunks(texts: pa.ChunkedArray) -> Iterator[tuple[int, list[list[str]]]]:
    """Yield the texts of a column as normalised sentences, in chunks, each with the number of its first row."""
    first, chunk, characters = 0, list[list[str]](), 0
    for start in range(0, len(texts), SLICE):
        new = texts.slice(start, SLICE).to_pylist()
        chunk += map(normalised_sentences, new)
        characters += sum(map(len, new))
        if characters >= CHUNK:
            yield first, chunk
            first, chunk, characters = first + len(chunk), [], 0
    if chunk or not first:
        yield first, chunk
