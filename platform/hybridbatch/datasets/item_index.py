"""Which rows of a table of training pairs are one item: found in bounded memory, kept on disk, memory-mapped.

Above a million rows, rows are dealt out to files by a hash of their item, and the items of each file are looked at on
their own. What stays in memory is then one such file and three bits a row.

Shape legend: R rows of the table, P of a part of them, G items of a part, I items, L languages, W words of 64 rows, C
items or rows looked at together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import StoreError, UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

FORMAT = 1  # raise it when the same table and languages give another index
MOST_LANGUAGES = 64  # the languages of an item are one mask of at most 64 bits
ROWS_IN_MEMORY = 1 << 20  # in one part; more are dealt out to files
FILES = 200  # open at once; some systems allow 256
CHUNK = 1 << 18  # rows, or items, looked at together
_EMPTY = -1  # an item that does not exist in a language


@dataclass(frozen=True)
class ItemIndex:
    """The items of a table; they are in order of their first row.

    Attributes:
        languages: The L languages, in the order of the columns and of the bits of the masks.
        row_IL: Row of each item in each language, -1 where the item does not exist in it; memory-mapped, int32 where
            that is wide enough, else int64.
        masks_I: The languages each item exists in, of the narrowest type: bit ``l`` stands for ``languages[l]``.
    """

    languages: tuple[str, ...]
    row_IL: NDArray[np.signedinteger]
    masks_I: NDArray[np.unsignedinteger]


class RepeatedItemError(UserError):
    """An item stands twice in the same language.

    Attributes:
        item: The item.
        language: The language.
    """

    item: str
    language: str

    @classmethod
    def of(cls, name: str, item: str, language: str, row: int, other: int) -> RepeatedItemError:
        """Return the error for two rows of the data set ``name``."""
        error = cls(
            "an item stands twice in the same language",
            file=name,
            path=f"record {row}",
            seen={"item": item, "language": language},
            allowed=f"one row per item and language; the other is record {other}",
        )
        error.item, error.language = item, language
        return error


def item_index(name: str, rows: Dataset, languages: Sequence[str] | None, cache: Path, key: str) -> ItemIndex:
    """Return the index of a table, from the cache when it was made before.

    Args:
        name: The data set, for messages.
        rows: Table with the columns ``item`` and ``language``, no nulls.
        languages: The languages to index; rows in others are passed over, and so are items in none of them. None: those
            that occur, sorted.
        cache: The cache folder.
        key: Name of the content of the table.

    Raises:
        RepeatedItemError: If an item has two rows in one language.
        UserError: If there are too many languages.
    """
    folder = cache / "items" / fingerprint.of_json([FORMAT, key, languages])
    was_there = folder.exists()
    kept = _kept(folder)
    if kept is None:
        chosen = tuple(languages or sorted(column_of(rows, "language").unique().to_pylist()))
        if len(chosen) > MOST_LANGUAGES:
            raise UserError(
                "too many languages", file=name, seen=len(chosen), allowed=f"at most {MOST_LANGUAGES} in one data set"
            )
        # a damaged index is replaced; of several processes that make a new one the first wins, others may be reading it
        with atomic.folder_written_whole(folder, replace=was_there) as draft:
            _write(draft, name, rows, chosen)
        kept = _kept(folder)
    if kept is None:
        raise StoreError("what was written cannot be read", file=folder, remedy="look whether the disk is sound")
    return kept


def language_masks(row_IL: NDArray[np.signedinteger]) -> NDArray[np.unsignedinteger]:
    """Return the languages each item exists in, of the narrowest type with a bit for each."""
    items, languages = row_IL.shape
    masks_I = np.zeros(items, np.min_scalar_type((1 << languages) - 1))
    for start in range(0, items, CHUNK):
        there_CL = row_IL[start : start + CHUNK] != _EMPTY
        for bit in range(languages):
            masks_I[start : start + CHUNK] |= there_CL[:, bit].astype(masks_I.dtype) << bit
    return masks_I


def _kept(folder: Path) -> ItemIndex | None:
    """Return the index in ``folder``, None when it is not there or not whole."""
    try:
        languages = tuple(atomic.read_json(folder / "languages.json"))
        row_IL = np.asarray(np.lib.format.open_memmap(folder / "rows.npy", mode="r"))
        masks_I = np.array(np.lib.format.open_memmap(folder / "masks.npy", mode="r"))
    except (OSError, ValueError, EOFError):
        return None
    return ItemIndex(languages, row_IL, masks_I) if row_IL.shape == (len(masks_I), len(languages)) else None


def _write(folder: Path, name: str, rows: Dataset, languages: tuple[str, ...]) -> None:
    """Write the index: first the items of each part, which may be in any order, then each to its place."""
    row_type = np.promote_types(np.int32, np.min_scalar_type(-len(rows) - 1))
    first_rows = _RowSet(len(rows))
    repeated: list[tuple[int, int, str, int]] = []
    parts = 0
    for parts, part in enumerate(_parts(rows, languages, folder), start=1):
        row_GL, doubles = _grouped(part, len(languages), row_type)
        repeated += doubles
        first_rows.add(_first_row(row_GL))
        np.save(folder / f"part-{parts}.npy", row_GL)
    if repeated:
        row, other, item, language = min(repeated)
        raise RepeatedItemError.of(name, item, languages[language], row, other)
    row_IL = _allocated(folder / "rows.npy", (len(first_rows), len(languages)), row_type)
    for number in range(1, parts + 1):
        file = folder / f"part-{number}.npy"
        row_GL = np.array(np.lib.format.open_memmap(file, mode="r"))
        row_IL[first_rows.rank(_first_row(row_GL))] = row_GL
        file.unlink()
    row_IL.flush()
    np.save(folder / "masks.npy", language_masks(row_IL))
    atomic.write_json(folder / "languages.json", languages)


def _parts(rows: Dataset, languages: tuple[str, ...], folder: Path) -> Iterator[pa.Table]:
    """Yield the rows with columns ``item``, ``language`` (its number) and ``row``, those of an item in one part.

    Within a part rows are in order.
    """
    import pyarrow as pa

    chunks = _numbered(rows, languages)
    if len(rows) <= ROWS_IN_MEMORY:
        yield pa.concat_tables(chunks)
        return
    files = [folder / f"part-{number}.arrow" for number in range(FILES)]
    _deal(chunks, files)
    for file in files:
        with pa.OSFile(str(file)) as source:
            yield pa.ipc.open_stream(source).read_all()
        file.unlink()


def _numbered(rows: Dataset, languages: tuple[str, ...]) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.compute as pc

    item_R, language_R, known = column_of(rows, "item"), column_of(rows, "language"), pa.array(languages, pa.string())
    for start in range(0, max(len(rows), 1), CHUNK):
        language_C = pc.index_in(language_R.slice(start, CHUNK), value_set=known)
        row_C = pa.array(np.arange(start, start + len(language_C)))
        yield pa.table([item_R.slice(start, CHUNK), language_C, row_C], ["item", "language", "row"]).drop_null()


def _deal(chunks: Iterator[pa.Table], files: Sequence[Path]) -> None:
    """Write each row into the file that a hash of its item names."""
    import pyarrow as pa

    with ExitStack() as stack:
        writers: list[pa.ipc.RecordBatchStreamWriter] = []
        for chunk in chunks:
            for file in files if not writers else ():
                sink = stack.enter_context(pa.OSFile(str(file), "wb"))
                writers.append(stack.enter_context(pa.ipc.new_stream(sink, chunk.schema)))
            items = chunk.column("item").to_pylist()
            file_C = np.fromiter(map(hash, items), np.int64, len(items)) % len(files)
            order_C = np.argsort(file_C, kind="stable")
            sorted_chunk = chunk.take(pa.array(order_C))
            ends = np.searchsorted(file_C[order_C], np.arange(len(files)), side="right").tolist()
            for writer, start, end in zip(writers, [0, *ends[:-1]], ends, strict=True):
                writer.write_table(sorted_chunk.slice(start, end - start))


def _grouped(
    part: pa.Table, languages: int, row_type: np.dtype[np.signedinteger]
) -> tuple[NDArray[np.signedinteger], list[tuple[int, int, str, int]]]:
    """Return the rows of each item of a part ([G, L]), and for each repeated row it, the first one, item, language."""
    items = part.column("item").combine_chunks().dictionary_encode()
    item_P, language_P, row_P = (
        column.to_numpy().astype(np.int64) for column in (items.indices, part.column("language"), part.column("row"))
    )
    cell_P = item_P * languages + language_P
    row_GL = np.full(len(items.dictionary) * languages, _EMPTY, row_type)
    row_GL[cell_P[::-1]] = row_P[::-1]  # of several rows in one cell the first is written last
    doubles = [
        (int(row_P[place]), int(row_GL[cell_P[place]]), items[place].as_py(), int(language_P[place]))
        for place in np.flatnonzero(row_GL[cell_P] != row_P)[:1]
    ]
    return row_GL.reshape(-1, languages), doubles


def _allocated(file: Path, shape: tuple[int, int], row_type: np.dtype[np.signedinteger]) -> Any:
    """Return a mapped array in a new file whose every byte is on the disk: a full disk is an error, not a SIGBUS."""
    header = {"descr": np.lib.format.dtype_to_descr(row_type), "fortran_order": False, "shape": shape}
    with open(file, "wb") as sink:
        np.lib.format.write_array_header_1_0(sink, header)
        for start in range(0, shape[0], CHUNK):
            sink.write(np.full((min(CHUNK, shape[0] - start), shape[1]), _EMPTY, row_type).tobytes())
    return np.lib.format.open_memmap(file, mode="r+")


def _first_row(row_GL: NDArray[np.signedinteger]) -> NDArray[np.int64]:
    last = np.iinfo(row_GL.dtype).max
    first_G: NDArray[np.int64] = np.where(row_GL == _EMPTY, last, row_GL).min(axis=1).astype(np.int64)
    return first_G


class _RowSet:
    """Some of R rows, each added once: how many there are, and how many before each."""

    def __init__(self, rows: int) -> None:
        self._words_W = np.zeros(rows // 64 + 1, np.uint64)
        self._before_W: NDArray[np.int64] | None = None

    def add(self, row_G: NDArray[np.int64]) -> None:
        np.bitwise_or.at(self._words_W, row_G >> 6, np.uint64(1) << (row_G & 63).astype(np.uint64))

    def __len__(self) -> int:
        return int(np.bitwise_count(self._words_W).sum())

    def rank(self, row_G: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many of the set come before each of some that are in it; nothing is added afterwards."""
        if self._before_W is None:
            counts_W = np.bitwise_count(self._words_W).astype(np.int64)
            self._before_W = np.cumsum(counts_W) - counts_W
        word_G, lower_G = row_G >> 6, (np.uint64(1) << (row_G & 63).astype(np.uint64)) - np.uint64(1)
        rank_G: NDArray[np.int64] = self._before_W[word_G] + np.bitwise_count(self._words_W[word_G] & lower_G)
        return rank_G
