"""Approximate indices of a shard (IVF, HNSW, PQ and whatever faiss's index factory makes) and their recall.

An index is named as faiss names it (https://github.com/facebookresearch/faiss/wiki/The-index-factory), with parameters
of the search behind a semicolon: ``IVF1024,Flat;nprobe=16``, ``HNSW32;efSearch=64``, ``OPQ48,IVF1024,PQ48``. Each shard
has an index of its own; what the shards find is merged. Unlike the exact search an index holds its passages in memory.

Shape legend: Q questions, K best passages, D dimensions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybridbatch.evaluation.corpus_search import TILE_BYTES, BestPassages, check_search
from hybridbatch.evaluation.embedding_files import EmbeddingShard, embeddings_at
from hybridbatch.evaluation.peak_memory import PeakMemory
from hybridbatch.evaluation.shard_search import PartCost, Progress, SearchRequest
from hybridbatch.foundation.errors import UserError, first_line

_TRAINING_BYTES = 256 << 20  # passages that an index is trained on; faiss takes a sample of them for itself


@dataclass(frozen=True)
class ApproximateAnswer:
    """What an approximate index found.

    Attributes:
        best: Its best passages, with the index's own scores.
        build_seconds: Training it and adding the passages.
        search_seconds: Asking it all questions.
        index_bytes: Size of the index, passages included.
        cost: What it took in all.
    """

    best: BestPassages
    build_seconds: float
    search_seconds: float
    index_bytes: int
    cost: PartCost


@dataclass(frozen=True)
class SearchApproximately:
    """The work of building an index over a shard and searching it.

    Attributes:
        shard: The shard.
        index: Name of the index, and parameters of the search behind a semicolon.
        threads: Threads of faiss.
    """

    shard: EmbeddingShard
    index: str
    threads: int

    @property
    def number(self) -> int:
        """Number of the shard."""
        return self.shard.number

    def run(self, request: SearchRequest, progress: Progress) -> ApproximateAnswer:
        """Build, search, forget.

        Raises:
            UserError: If faiss knows no such index, or cannot train it on so few passages.
        """
        import faiss
        from threadpoolctl import threadpool_limits

        start, memory = time.perf_counter(), PeakMemory()
        check_search(request.questions_QD, self.shard.dimensions, request.top)
        best = BestPassages.none(len(request.questions_QD), request.top)
        made, built, searched = make_index(self.index, self.shard.dimensions), start, start
        if self.shard.rows and len(request.questions_QD):
            with threadpool_limits(self.threads), _readable_errors(self.index, self.shard):
                self._fill(made, progress)
                built = time.perf_counter()
                _set_parameters(made, self.index)
                scores_QK, place_QK = made.search(request.questions_QD, request.top)
                searched = time.perf_counter()
            none = place_QK < 0
            best = BestPassages(
                np.where(none, np.float32(-np.inf), scores_QK), np.where(none, -1, place_QK + self.shard.first)
            )
        size = _Size()
        faiss.write_index(made, faiss.PyCallbackIOWriter(size.add))  # type: ignore[attr-defined]
        cost = PartCost(self.number, self.shard.rows, time.perf_counter() - start, memory.before, memory.peak())
        return ApproximateAnswer(best, built - start, searched - built, size.total, cost)

    def _fill(self, made: Any, progress: Progress) -> None:
        shard = self.shard
        if not made.is_trained:
            rows = min(shard.rows, max(1, _TRAINING_BYTES // (4 * shard.dimensions)))
            sample = shard.first + np.arange(rows) * shard.rows // rows  # evenly over the shard
            files = [piece.file for piece in shard.pieces]
            first = shard.pieces[0].first - shard.pieces[0].start
            made.train(embeddings_at(files, sample - first))
        for first, passages_TD in shard.tiles(TILE_BYTES):
            made.add(passages_TD)
            progress(first - shard.first + len(passages_TD), shard.rows)


def make_index(index: str, dimensions: int) -> Any:
    """Return an empty index.

    Raises:
        UserError: If faiss knows none of this name and these parameters, or not for such embeddings.
    """
    import faiss

    try:
        made = faiss.index_factory(dimensions, index.partition(";")[0].strip(), faiss.METRIC_INNER_PRODUCT)
        _set_parameters(made, index)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            "faiss makes no such index",
            path="--index",
            seen=index,
            allowed=f"a name of its index factory for {dimensions} dimensions, such as 'IVF1024,Flat;nprobe=16', "
            "'HNSW32;efSearch=64' or 'PQ48'",
            remedy=_reason(error),
        ) from error
    return made


def recall(found: BestPassages, exact: BestPassages, top: int) -> float:
    """Return the mean share of the ``top`` exactly best passages that are among the ``top`` found; NaN for no question.

    With fewer passages in the corpus than ``top`` the share is of those.
    """
    shares = []
    for found_K, exact_K in zip(found.index_QK[:, :top], exact.index_QK[:, :top], strict=True):
        there = exact_K[exact_K >= 0]
        if len(there):
            shares.append(len(np.intersect1d(found_K, there)) / len(there))
    return float(np.mean(shares)) if shares else float("nan")


def _set_parameters(made: Any, index: str) -> None:
    import faiss

    if parameters := index.partition(";")[2].strip():
        faiss.ParameterSpace().set_index_parameters(made, parameters)  # type: ignore[arg-type]


@contextmanager
def _readable_errors(index: str, shard: EmbeddingShard) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise UserError(
            "this index cannot be built over a shard",
            path="--index",
            seen=f"{index}, {shard.rows:,} passages in shard {shard.number}",
            remedy=_reason(error),
        ) from error


def _reason(error: Exception) -> str:
    """Return what faiss says without the place in its source: the last part of its message."""
    return first_line(error).rsplit(": ", 1)[-1]


class _Size:
    """Counts the bytes that an index would take in a file."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, content: bytes) -> None:
        """Take note of a part of the file."""
        self.total += len(content)
