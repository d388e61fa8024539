"""Columns of lists of texts: checked, and flat, one list after the other.

Shape legend: R rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.arrow_cache import text_column
from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def list_column(lists: Sequence[Sequence[str] | None], file: Path) -> pa.Array:
    """Return ``lists`` as an Arrow column.

    Raises:
        UserError: If a text is not valid Unicode.
    """
    import pyarrow as pa

    offsets = np.cumsum([0, *(len(one or ()) for one in lists)], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, text_column([text for one in lists for text in one or ()], file))


def check_list_type(file: Path, name: str, kind: pa.DataType) -> None:
    """Refuse a column that holds no lists of texts.

    Raises:
        UserError: If it does not; it names the column and its type.
    """
    import pyarrow.types as pt

    is_list = pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)
    if not (is_list and (pt.is_string(kind.value_type) or pt.is_large_string(kind.value_type))):
        raise UserError("wrong type of column", file=file, path=name, seen=str(kind), allowed="lists of texts")


def list_offsets(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return where each list begins among all texts, and the end of the last one [R + 1]; null is an empty list."""
    import pyarrow.compute as pc

    lengths_R = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    return np.concatenate([[0], lengths_R]).cumsum(dtype=np.int64)


def flat_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the texts of all lists, one list after the other."""
    import pyarrow as pa

    return pa.chunked_array([chunk.flatten() for chunk in column.chunks], type=column.type.value_type)


def check_texts(file: Path, name: str, column: pa.ChunkedArray, place: Callable[[int], str]) -> None:
    """Refuse lists that hold what is no text.

    Args:
        file: The file, for messages.
        name: The column in it, for messages.
        column: The lists.
        place: Where a row stands in the file.

    Raises:
        UserError: If a text is null or blank; it names the first.
    """
    import pyarrow.compute as pc

    texts = flat_texts(column)
    blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(texts, "")), "")
    if pc.any(blank).as_py():
        number = pc.index(blank, True).as_py()
        row = int(np.searchsorted(list_offsets(column), number, side="right")) - 1
        raise UserError(
            "a text of a list is null or blank",
            file=file,
            path=f"{place(row)} -> {name}",
            seen=texts[number].as_py(),
            allowed="texts; an empty list where there are none",
        )
