"""Training pairs that exist in several languages.

Shape legend: I items, L languages, R rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.arrow_cache import column_of, values_of
from hybridbatch.datasets.text_lists import flat_texts, list_offsets
from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

MOST_LANGUAGES = 64  # the languages of an item are one 64-bit mask
_TEXTS = 4096  # read at a time
NEGATIVES = "negatives"  # the column of lists of passages that do not answer the question of a row


@dataclass(frozen=True)
class ParallelPairs:
    """Question-passage pairs, grouped into items: one item is the same question and passage in several languages.

    Attributes:
        name: The data set, as shown to people.
        languages: The L languages, in the order of the bits of the masks.
        rows: Memory-mapped table with the columns ``item``, ``language``, ``query``, ``passage``, and ``negatives``
            (lists of texts) where the file has them.
        row_IL: The row of each item in each language, -1 where the item does not exist in it (int32 or int64).
        fingerprint: Fingerprint of the content after selection of languages.
    """

    name: str
    languages: tuple[str, ...]
    rows: Dataset
    row_IL: NDArray[np.int64]
    fingerprint: str

    @property
    def language_masks_I(self) -> NDArray[np.uint64]:
        """Return for each item the languages it exists in: bit ``l`` stands for ``languages[l]``."""
        bits_L = np.uint64(1) << np.arange(len(self.languages), dtype=np.uint64)
        masks_I: NDArray[np.uint64] = np.where(self.row_IL >= 0, bits_L, np.uint64(0)).sum(axis=1, dtype=np.uint64)
        return masks_I

    @property
    def lists_negatives(self) -> bool:
        """Whether rows list passages that do not answer their question."""
        return NEGATIVES in self.rows.column_names

    @cached_property
    def negative_offsets_R(self) -> NDArray[np.int64]:
        """Which of :attr:`negative_texts` row ``r`` lists: ``offsets[r]`` to ``offsets[r + 1]`` [R + 1]."""
        return list_offsets(column_of(self.rows, NEGATIVES))

    @cached_property
    def negative_texts(self) -> pa.ChunkedArray:
        """The negatives of all rows, one row after the other, memory-mapped."""
        return flat_texts(column_of(self.rows, NEGATIVES))

    def each_negative(self) -> Iterator[str]:
        """Yield :attr:`negative_texts`; a few thousand of them are in memory at a time."""
        for start in range(0, len(self.negative_texts), _TEXTS):
            yield from self.negative_texts.slice(start, _TEXTS).to_pylist()

    def negative_languages(self) -> Iterator[str]:
        """Yield the language of each of :attr:`negative_texts`."""
        for language, count in zip(values_of(self.rows, "language"), np.diff(self.negative_offsets_R), strict=True):
            yield from repeat(language, count)


def index_items(
    name: str, items: Sequence[str], row_languages: Sequence[str], languages: Sequence[str]
) -> NDArray[np.int64]:
    """Return ``row_IL``: where each item lies in each language; items are in order of their first row.

    Args:
        name: The data set, for messages.
        items: The item of every row.
        row_languages: The language of every row.
        languages: The languages to index; rows in others are passed over, and so are items in none of them.

    Raises:
        UserError: If an item has two rows in one language, or there are too many languages.
    """
    if len(languages) > MOST_LANGUAGES:
        raise UserError(
            "too many languages", file=name, seen=len(languages), allowed=f"at most {MOST_LANGUAGES} in one data set"
        )
    column_of = {language: column for column, language in enumerate(languages)}
    item_of: dict[str, int] = {}
    entries: list[tuple[int, int, int]] = []
    for row, (item, language) in enumerate(zip(items, row_languages, strict=True)):
        if language in column_of:
            entries.append((item_of.setdefault(item, len(item_of)), column_of[language], row))
    row_IL = np.full((len(item_of), len(languages)), -1, dtype=np.int64)
    for item_index, column, row in entries:
        if row_IL[item_index, column] >= 0:
            raise UserError(
                "an item stands twice in the same language",
                file=name,
                path=f"record {row}",
                seen={"item": items[row], "language": row_languages[row]},
                allowed="one row per item and language",
            )
        row_IL[item_index, column] = row
    return row_IL


def check_languages(name: str, wanted: Sequence[str] | None, present: Sequence[str]) -> tuple[str, ...]:
    """Return the languages to use: the ``wanted`` ones, or all that are ``present``.

    Raises:
        UserError: If a wanted language is not in the data set.
    """
    if wanted is None:
        return tuple(present)
    missing = [language for language in wanted if language not in present]
    if missing:
        raise UserError(
            "language not in the data set",
            file=name,
            path="languages",
            seen=", ".join(missing),
            allowed=", ".join(present),
            remedy="YAML reads a bare `no` as false: write 'no' in quotes for Norwegian" if "no" in present else None,
        )
    return tuple(wanted)
