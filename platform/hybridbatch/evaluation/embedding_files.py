"""Embeddings of a corpus in files, read tile by tile: no process ever holds the corpus.

A file is a NumPy array (``.npy``) of float32 or float16, one row a passage. Files follow one another in the order of
the corpus. A shard is a run of passages, wherever files begin and end, so the number of shards is free at any time.

Tiles are read into one buffer rather than mapped: a file that is cut short while it is read is then an error with a
message, where a mapping kills the process.

Shape legend: N passages, D dimensions, T passages of a tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybridbatch.foundation.errors import UserError

DTYPES = ("float32", "float16")
_ENCODE_AGAIN = "delete it and encode again: what is whole is kept"


@dataclass(frozen=True)
class EmbeddingFile:
    """A file of embeddings.

    Attributes:
        path: Where it lies.
        rows: Number of passages.
        dimensions: Width of an embedding.
        dtype: ``float32`` or ``float16``; scores are float32 either way.
        begins: Byte at which the first row begins.
    """

    path: Path
    rows: int
    dimensions: int
    dtype: str
    begins: int

    @classmethod
    def open(cls, path: Path) -> EmbeddingFile:
        """Return what the file at ``path`` says of itself.

        Raises:
            UserError: If it is not there, is no such array or is cut short.
        """
        try:
            with open(path, "rb") as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, column_major, dtype = read(file)
                begins = file.tell()
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise UserError(
                "this file of embeddings is missing", file=path, remedy="encode the corpus again"
            ) from error
        except (OSError, ValueError) as error:
            raise UserError(
                "not a file of embeddings", file=path, seen=str(error), allowed="a NumPy array (.npy)"
            ) from error
        if len(shape) != 2 or column_major or str(dtype) not in DTYPES:
            raise UserError(
                "not a file of embeddings",
                file=path,
                seen=f"{dtype} array of shape {shape}{', column by column' if column_major else ''}",
                allowed=f"one row a passage, {' or '.join(DTYPES)}",
            )
        made = cls(path, *shape, str(dtype), begins)
        if size != begins + made.rows * made.bytes_per_row:
            raise UserError(
                "this file of embeddings is not whole",
                file=path,
                seen=f"{size:,} bytes",
                allowed=f"{begins + made.rows * made.bytes_per_row:,} bytes for {made.rows:,} rows",
                remedy=_ENCODE_AGAIN,
            )
        return made

    @property
    def bytes_per_row(self) -> int:
        """Bytes that one embedding takes."""
        return self.dimensions * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Piece:
    """Rows ``start`` to ``start + rows`` of a file, which are the passages from ``first`` on."""

    file: EmbeddingFile
    start: int
    rows: int
    first: int


@dataclass(frozen=True)
class EmbeddingShard:
    """A run of passages of the corpus; it may be empty.

    Attributes:
        number: Number of the shard.
        first: Index of its first passage in the corpus.
        rows: Number of passages.
        dimensions: Width of an embedding.
        pieces: Where they lie, in order.
    """

    number: int
    first: int
    rows: int
    dimensions: int
    pieces: tuple[Piece, ...]

    def tiles(self, bytes_of_tile: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield index of the first passage and embeddings [T, D] of each tile; they are valid until the next one.

        Args:
            bytes_of_tile: Most bytes of a tile in float32.

        Raises:
            UserError: If a file is missing or cut short, or an embedding is not finite.
        """
        rows = max(1, min(bytes_of_tile // (4 * self.dimensions), self.rows))
        buffer_TD = np.empty((rows, self.dimensions), dtype=np.float32)
        for piece in self.pieces:
            EmbeddingFile.open(piece.file.path)  # it may have been lost since the shard was made
            with open(piece.file.path, "rb") as file:
                file.seek(piece.file.begins + piece.start * piece.file.bytes_per_row)
                for start in range(0, piece.rows, rows):
                    tile_TD = buffer_TD[: min(rows, piece.rows - start)]
                    raw = np.fromfile(file, piece.file.dtype, tile_TD.size)
                    if raw.size < tile_TD.size:
                        raise UserError(
                            "this file of embeddings is not whole", file=piece.file.path, remedy=_ENCODE_AGAIN
                        )
                    tile_TD[:] = raw.reshape(tile_TD.shape)
                    _check_finite(tile_TD, piece.file.path, range(piece.start + start, piece.file.rows))
                    yield piece.first + start, tile_TD


def _check_finite(read_ND: NDArray[np.float32], path: Path, rows: Sequence[int] | NDArray[np.int64]) -> None:
    bad = np.flatnonzero(~np.isfinite(read_ND).all(axis=1))
    if len(bad):
        raise UserError(
            "the embedding of a passage is not finite",
            file=path,
            path=f"row {rows[bad[0]]}",
            seen=f"{len(bad)} of the {len(read_ND)} embeddings read hold NaN or infinity",
            remedy="the encoder has diverged, or the file is damaged",
        )


def open_files(paths: Sequence[Path]) -> tuple[EmbeddingFile, ...]:
    """Return the files of one corpus.

    Raises:
        UserError: If there is none, one is missing or broken, or their widths differ.
    """
    if not paths:
        raise UserError("a corpus is at least one file of embeddings", seen="none")
    files = tuple(map(EmbeddingFile.open, paths))
    for file in files:
        if file.dimensions != files[0].dimensions:
            raise UserError(
                "files of one corpus hold embeddings of one width",
                file=file.path,
                seen=f"{file.dimensions} dimensions",
                allowed=f"{files[0].dimensions} as in {files[0].path}",
                remedy="encode the corpus again with one model",
            )
    return files


def split(files: Sequence[EmbeddingFile], shards: int) -> tuple[EmbeddingShard, ...]:
    """Return the corpus as ``shards`` runs of passages that differ by one passage at most; some may be empty."""
    ends = np.cumsum([0, *(file.rows for file in files)]).tolist()
    borders = [ends[-1] * number // shards for number in range(shards + 1)]
    made = []
    for number, (first, end) in enumerate(pairwise(borders)):
        pieces = []
        for file, begins in zip(files, ends, strict=False):
            start, stop = max(first, begins), min(end, begins + file.rows)
            if start < stop:
                pieces.append(Piece(file, start - begins, stop - start, start))
        made.append(EmbeddingShard(number, first, end - first, files[0].dimensions, tuple(pieces)))
    return tuple(made)


def embeddings_at(files: Sequence[EmbeddingFile], index_P: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the embeddings [P, D] of a few passages, given their indices in the corpus, ascending."""
    ends = np.cumsum([0, *(file.rows for file in files)])
    found_PD = np.empty((len(index_P), files[0].dimensions), dtype=np.float32)
    for file, begins, end in zip(files, ends[:-1], ends[1:], strict=True):
        here = slice(*np.searchsorted(index_P, [begins, end]))
        if here.start < here.stop:
            rows = index_P[here] - begins
            found_PD[here] = np.lib.format.open_memmap(file.path, mode="r")[rows]
            _check_finite(found_PD[here], file.path, rows)
    return found_PD
