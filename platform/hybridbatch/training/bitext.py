"""Sentences and their translations: what an arm may learn from beside question-passage pairs.

Shape legend: P pairs, B pairs of this worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.batching.plan import BatchPlan, PairSet
from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.leakage import find_overlap
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.sources import DataLocation, SourceSettings
from hybridbatch.training.losses import Shard

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class SentencePairs:
    """Sentences in one language, each with its translations.

    Attributes:
        name: The data set, as shown to people.
        languages: The languages of the pairs, the pivot first.
        rows: Memory-mapped table with the columns ``language`` and :attr:`column`.
        column: The column of the sentences.
        pivot_P: Row of the sentence in the pivot language.
        translation_P: Row of its translation; a sentence with three translations is in three pairs.
        fingerprint: Fingerprint of the rows.
    """

    name: str
    languages: tuple[str, ...]
    rows: Dataset
    column: str
    pivot_P: NDArray[np.int64]
    translation_P: NDArray[np.int64]
    fingerprint: str


def load_sentence_pairs(source: SourceSettings, pivot: str, location: DataLocation) -> SentencePairs:
    """Return every sentence in the language ``pivot`` with each of its translations.

    Parallel text is what has the same item: the questions of a retrieval task, which are all sentences of ``bitext``,
    or the queries of training pairs where a data set has such pairs.

    Raises:
        UserError: If the data cannot be loaded, or no sentence stands in the pivot language and in another one.
    """
    name, rows, column, content = _sentences(source, location)
    items, languages = (column_of(rows, of_row).to_pylist() for of_row in ("item", "language"))
    wanted = None if source.languages is None else {pivot, *source.languages}
    pivots = {item: row for row, (item, language) in enumerate(zip(items, languages, strict=True)) if language == pivot}
    found = [
        (pivots[item], row)
        for row, (item, language) in enumerate(zip(items, languages, strict=True))
        if language != pivot and item in pivots and (wanted is None or language in wanted)
    ]
    if not found:
        raise UserError(
            f"no sentence has a translation from or into {pivot}",
            file=name,
            seen=", ".join(dict.fromkeys(languages)),
            allowed=f"parallel text in {pivot} and another language",
            remedy="name the language that all others are paired with as `pivot`, and keep it in `languages`",
        )
    pivot_P, translation_P = np.array(found, np.int64).T
    spoken = dict.fromkeys([pivot, *(languages[row] for row in translation_P.tolist())])
    return SentencePairs(name, tuple(spoken), rows, column, pivot_P, translation_P, content)


def bitext_fingerprint(source: SourceSettings, location: DataLocation) -> str:
    """Return the fingerprint of the rows that :func:`load_sentence_pairs` reads.

    Raises:
        UserError: If the data cannot be loaded.
    """
    return _sentences(source, location)[-1]


def _sentences(source: SourceSettings, location: DataLocation) -> tuple[str, Dataset, str, str]:
    """Return name, rows, column of the sentences and fingerprint of parallel text."""
    if type(source).pairs is not SourceSettings.pairs:
        pairs = source.pairs(location)
        return pairs.name, pairs.rows, "query", pairs.fingerprint
    task = source.task(location)
    return task.name, task.questions, "text", task.fingerprint


class SentencePairPlan:
    """Which pairs of sentences a step takes: a function of (seed, step), and each pair once an epoch.

    Args:
        pairs: Number of pairs.
        size: Pairs of the global batch.
        shard: Which part of it is this worker's.
        seed: Seed of the trial.
        purpose: What the pairs are for: two purposes draw different batches.
    """

    def __init__(self, pairs: int, *, size: int, shard: Shard, seed: int, purpose: str) -> None:
        # A pair is an item that exists in one way, so any kind of batch that takes it as it is visits each pair once.
        ways = PairSet(purpose, ("pair",), np.ones(pairs, np.uint64))
        self._plan = BatchPlan(
            [ways], size=size, mix={"same-language": 1.0}, size_exponent=1.0, seed=derive_seed(seed, purpose)
        )
        self._shard = shard

    def batch(self, step: int) -> NDArray[np.int64]:
        """Return this worker's pairs [B] of a step."""
        batch = self._plan.batch(step)
        return batch.items_B[batch.shard(self._shard.rank, self._shard.workers)]


def check_batch(size: int, pairs: SentencePairs, workers: int, path: str) -> None:
    """Raise unless batches of ``size`` pairs can be drawn and shared among the workers.

    Raises:
        UserError: At ``path``, if not.
    """
    if size > len(pairs.pivot_P):
        raise UserError(
            "a batch is larger than the bitext",
            path=path,
            seen=size,
            allowed=f"at most {len(pairs.pivot_P)}, the pairs of {pairs.name}",
        )
    if size % workers:
        problem = f"must be a multiple of resources.workers, {workers}"
        raise UserError(problem, path=path, seen=size, remedy="every worker takes an equal part of each batch")


def refuse_reported_text(pairs: SentencePairs, report: Sequence[RetrievalTask], path: str) -> None:
    """Raise when a text of a report set equals a sentence of the bitext or stands in it.

    Raises:
        UserError: At ``path``, if one does.
    """
    rows = pairs.rows if pairs.column == "query" else pairs.rows.rename_column(pairs.column, "query")
    no_items_IL, no_masks_I = np.empty((0, len(pairs.languages)), np.int64), np.empty(0, np.uint8)
    texts = rows.select_columns(["query"])
    sentences = ParallelPairs(pairs.name, pairs.languages, texts, no_items_IL, no_masks_I, pairs.fingerprint)
    for overlap in find_overlap([sentences], report):
        raise UserError(
            f"text of a report set stands in the bitext: {overlap.count} of {overlap.report}",
            path=path,
            seen=overlap.examples[0],
            allowed="bitext that shares no text with the report sets",
            remedy="name other bitext or another report set, or give data.allow_overlap with a reason",
        )
