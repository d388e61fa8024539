"""Columns of lists of texts: made, checked, and read as one text after the other where they lie.

Shape legend: R rows, C chunks of a column, B some rows, S some texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.arrow_cache import text_column
from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


class TextLists:
    """A column of lists of texts, whose texts are numbered through; what is not asked for is not read.

    Where lists begin is looked up in the column itself, which may be memory-mapped: of each chunk little is kept.

    Args:
        column: Lists of texts, no one null.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column
        self._first_row_C = _starts(len(chunk) for chunk in column.iterchunks())
        self._first_text_C = _starts(len(chunk.flatten()) for chunk in column.iterchunks())
        first_values = [chunk.offsets[0].as_py() for chunk in column.iterchunks()]  # not 0 in a part of an array
        self._shift_C = self._first_text_C[:-1] - np.array(first_values, np.int64)
        self._kept_offsets: dict[int, NDArray[np.int32]] = {}

    def __len__(self) -> int:
        """Return the number of texts."""
        return int(self._first_text_C[-1])

    @property
    def longest(self) -> int:
        """Texts of the longest list."""
        return max((int(length_B.max(initial=0)) for length_B in self.lengths()), default=0)

    @property
    def texts(self) -> pa.ChunkedArray:
        """The texts of all lists, one list after the other; they are not copied."""
        import pyarrow as pa

        chunks = [chunk.flatten() for chunk in self._column.iterchunks()]
        return pa.chunked_array(chunks, type=self._column.type.value_type)

    def __iter__(self) -> Iterator[str]:
        """Yield all texts; those of one chunk are in memory."""
        for chunk in self._column.iterchunks():
            yield from chunk.flatten().to_pylist()

    def lengths(self) -> Iterator[NDArray[np.int64]]:
        """Yield how many texts each row lists, a chunk of rows after the other."""
        for chunk in self._column.iterchunks():
            yield np.diff(chunk.offsets.to_numpy().astype(np.int64))

    def for_each_text(self, values: Iterable[str]) -> Iterator[str]:
        """Yield for each text what ``values`` holds for its row."""
        lengths = (length for chunk in self.lengths() for length in chunk.tolist())
        for value, length in zip(values, lengths, strict=True):
            yield from repeat(value, length)

    def bounds(self, rows_B: NDArray[np.signedinteger]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first text of each row [B], and the one after its last [B]."""
        chunk_B = np.searchsorted(self._first_row_C, rows_B, side="right") - 1
        places = zip(chunk_B.tolist(), (rows_B - self._first_row_C[chunk_B]).tolist(), strict=True)
        within = [self._offsets(chunk)[place : place + 2] for chunk, place in places]
        both_B2 = np.array(within, np.int64).reshape(-1, 2) + self._shift_C[chunk_B, None]
        return both_B2[:, 0], both_B2[:, 1]

    def chosen(self, numbers_S: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
        """Return some texts by their numbers, and the row of each [S]."""
        chunk_S = np.searchsorted(self._first_text_C, numbers_S, side="right") - 1
        places = list(zip(chunk_S.tolist(), (numbers_S - self._shift_C[chunk_S]).tolist(), strict=True))
        texts = [self._column.chunk(chunk).values[place].as_py() for chunk, place in places]
        rows = [np.searchsorted(self._offsets(chunk), place, side="right") - 1 for chunk, place in places]
        return texts, self._first_row_C[chunk_S] + np.array(rows, np.int64)

    def _offsets(self, chunk: int) -> NDArray[np.int32]:
        """Return where the lists of a chunk begin among its values, and the end of the last one."""
        if chunk not in self._kept_offsets:
            self._kept_offsets[chunk] = self._column.chunk(chunk).offsets.to_numpy()
        return self._kept_offsets[chunk]


def list_column(lists: Sequence[Sequence[str]], file: Path) -> pa.Array:
    """Return ``lists`` as an Arrow column.

    Raises:
        UserError: If a text is not valid Unicode.
    """
    import pyarrow as pa

    offsets = _starts(map(len, lists)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), text_column([text for one in lists for text in one], file))


def as_text_lists(lists: pa.Array) -> pa.Array:
    """Return a column of lists of texts of whatever type as one without nulls, which become empty lists."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = np.concatenate([[0], lengths]).cumsum().astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), lists.flatten().cast(pa.string()))


def check_list_type(file: Path, name: str, kind: pa.DataType) -> None:
    """Refuse a column that holds no lists of texts.

    Raises:
        UserError: If it does not; it names the column and its type.
    """
    import pyarrow.types as pt

    is_list = pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)
    if not (is_list and (pt.is_string(kind.value_type) or pt.is_large_string(kind.value_type))):
        raise UserError("wrong type of column", file=file, path=name, seen=str(kind), allowed="lists of texts")


def check_texts(file: Path, name: str, column: pa.ChunkedArray, place: Callable[[int], str]) -> None:
    """Refuse lists that hold what is no text.

    Args:
        file: The file, for messages.
        name: The column in it, for messages.
        column: The lists, no one null.
        place: Where a row stands in the file.

    Raises:
        UserError: If a text is null or blank; it names the first.
    """
    import pyarrow.compute as pc

    lists = TextLists(column)
    blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(lists.texts, "")), "")
    if pc.any(blank).as_py():
        (text,), (row,) = lists.chosen(np.array([pc.index(blank, True).as_py()]))
        raise UserError(
            "a text of a list is null or blank",
            file=file,
            path=f"{place(int(row))} -> {name}",
            seen=text,
            allowed="texts; an empty list where there are none",
        )


def _starts(lengths: Iterable[int]) -> NDArray[np.int64]:
    """Return where each of several parts begins, and the end of the last one."""
    return np.array([0, *lengths], np.int64).cumsum()
