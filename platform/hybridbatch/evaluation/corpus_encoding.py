"""A corpus encoded in shards, each worker chunk by chunk; a chunk that is whole is never encoded again.

The embeddings of a corpus are a folder of files ``000000.npy`` and so on, one a chunk, written whole or not at all. The
folder is named by all that its numbers depend on, so what lies in it cannot be stale. Chunks do not depend on the
number of shards: work that was begun with four workers can be ended with seven.

Equal texts of one chunk get the same embedding to the bit. In two chunks they differ by the rounding of the encoder,
since they are padded with other neighbours.

Shape legend: D dimensions, C texts of a chunk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hybridbatch.evaluation.embedding_cache import entry_name
from hybridbatch.evaluation.embedding_files import EmbeddingFile
from hybridbatch.evaluation.peak_memory import PeakMemory
from hybridbatch.evaluation.shard_search import PartCost, Progress
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

_MOST_TEXTS, _FEWEST_TEXTS, _CHUNKS = 16384, 256, 64


@dataclass(frozen=True)
class EncodingRequest:
    """What is encoded, how, and where to.

    Attributes:
        model: Folder of the model.
        texts: Memory-mapped table with the columns ``text`` and ``language``; the latter may be missing unless the
            tokenizer is told languages.
        prefix: Put before every text.
        tokens: Longest text in tokens; longer ones are cut.
        folder: Where the files go: shared storage when workers run on several machines.
        dtype: ``float32`` or ``float16``.
        device: Where to encode.
    """

    model: str
    texts: Dataset
    prefix: str
    tokens: int
    folder: Path
    dtype: str
    device: str

    @property
    def texts_of_chunk(self) -> int:
        """Number of texts of a chunk; it hangs on the size of the corpus alone."""
        return min(_MOST_TEXTS, max(_FEWEST_TEXTS, -(-len(self.texts) // _CHUNKS)))

    @property
    def files(self) -> list[Path]:
        """The files of all chunks, whether they are there or not."""
        chunks = max(1, -(-len(self.texts) // self.texts_of_chunk))
        return [self.folder / f"{chunk:06d}.npy" for chunk in range(chunks)]


@dataclass(frozen=True)
class EncodedChunks:
    """What a shard of the work came to.

    Attributes:
        encoded: Number of texts that were encoded; the others were there.
        cost: What it took.
    """

    encoded: int
    cost: PartCost


@dataclass(frozen=True)
class EncodeChunks:
    """The work of encoding some chunks.

    Attributes:
        number: Number of the shard.
        chunks: Numbers of its chunks.
        threads: Threads of the encoder.
    """

    number: int
    chunks: tuple[int, ...]
    threads: int

    def run(self, request: EncodingRequest, progress: Progress) -> EncodedChunks:
        """Encode what is missing.

        Raises:
            UserError: If the model cannot be loaded or gives embeddings that are not finite.
            StoreError: If the disk is full or not writable.
        """
        if not len(request.texts):
            raise UserError("there is no text to encode", file=request.folder)
        start, memory = time.perf_counter(), PeakMemory()
        size, files = request.texts_of_chunk, request.files
        spans = {chunk: range(chunk * size, min((chunk + 1) * size, len(request.texts))) for chunk in self.chunks}
        total = sum(map(len, spans.values()))
        missing = [chunk for chunk in self.chunks if not _is_whole(files[chunk], len(spans[chunk]))]
        done = total - sum(len(spans[chunk]) for chunk in missing)
        progress(done, total)

        def told_after(before: int) -> Callable[[int], None]:
            return lambda within: progress(before + within, total)

        encoded = 0
        writer = _Writer(request, self.threads) if missing else None
        for chunk in missing:
            assert writer is not None
            writer.write(files[chunk], spans[chunk], told_after(done + encoded))
            encoded += len(spans[chunk])
            progress(done + encoded, total)
        cost = PartCost(self.number, total, time.perf_counter() - start, memory.before, memory.peak())
        return EncodedChunks(encoded, cost)


def encoding_parts(request: EncodingRequest, shards: int, threads: int) -> list[EncodeChunks]:
    """Return the work as ``shards`` parts of neighbouring chunks; parts without a chunk are left out."""
    borders = [len(request.files) * number // shards for number in range(shards + 1)]
    spans = [tuple(range(first, end)) for first, end in pairwise(borders)]
    return [EncodeChunks(number, span, threads) for number, span in enumerate(spans) if span]


def embedding_folder(
    cache: Path, model_id: str, content: str, *, prefix: str, tokens: int, dtype: str, device: str
) -> Path:
    """Return where the embeddings of a corpus lie: another place for another version of the libraries.

    Args:
        cache: Folder of what can be made again.
        model_id: The :func:`hybridbatch.evaluation.embedding_cache.model_fingerprint`.
        content: Fingerprint of the texts.
        prefix: Put before every text.
        tokens: Longest text in tokens.
        dtype: ``float32`` or ``float16``.
        device: Where to encode; its number does not count.
    """
    settings = {"prefix": prefix, "tokens": tokens, "dtype": dtype, "device": device.partition(":")[0]}
    return cache / "corpora" / entry_name(model_id, content, settings)


def _is_whole(path: Path, rows: int) -> bool:
    try:
        return EmbeddingFile.open(path).rows == rows
    except UserError:
        return False


class _Writer:
    """Encodes texts and writes them; loads the model, which takes seconds."""

    def __init__(self, request: EncodingRequest, threads: int) -> None:
        from hybridbatch.evaluation.load_model import load_model

        self._request, self._threads = request, threads
        self._loaded = load_model(request.model)
        self._encoder = self._loaded.encoder.to(request.device)

    def write(self, file: Path, rows: Sequence[int], encoded: Callable[[int], None]) -> None:
        """Encode the texts in ``rows`` into ``file``; ``encoded`` is called with the number of texts done."""
        import torch

        from hybridbatch.evaluation.encode import encode
        from hybridbatch.evaluation.token_store import tokenized_in_memory

        request = self._request
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            chosen = request.texts.select(rows)
            store = tokenized_in_memory(
                list(chosen["text"]),
                self._loaded.tokenizer,
                prefix=request.prefix,
                longest=min(request.tokens, self._loaded.longest),
                languages=list(chosen["language"]) if "language" in chosen.column_names else None,
            )
            embeddings_CD = encode(
                self._encoder, store, device=request.device, progress=lambda done, distinct: encoded(done)
            ).numpy()
        finally:
            torch.set_num_threads(before)
        with np.errstate(over="ignore"):
            written_CD = embeddings_CD.astype(request.dtype)
        bad = np.flatnonzero(~np.isfinite(written_CD).all(axis=1))
        if len(bad):
            raise UserError(
                "the embedding of a text is not finite",
                file=request.model,
                path=f"text {rows[bad[0]]}",
                seen=f"{len(bad)} of {len(rows)} embeddings hold NaN or infinity in {request.dtype}",
                remedy="the model has diverged",
            )
        with atomic.file_written_whole(file) as sink:
            np.save(sink, written_CD)
