"""Training pairs that exist in several languages.

Shape legend: I items, L languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.text_lists import TextLists
from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from numpy.typing import NDArray

NEGATIVES = "negatives"  # the column of lists of passages that do not answer the question of a row


@dataclass(frozen=True)
class ParallelPairs:
    """Question-passage pairs, grouped into items: one item is the same question and passage in several languages.

    Attributes:
        name: The data set, as shown to people.
        languages: The L languages, in the order of the bits of the masks.
        rows: Memory-mapped table with the columns ``item``, ``language``, ``query``, ``passage``, and ``negatives``
            (lists of texts) where the file has them.
        row_IL: The row of each item in each language, -1 where the item does not exist in it (int32 or int64, mostly
            memory-mapped).
        language_masks_I: The languages each item exists in: bit ``l`` stands for ``languages[l]``.
        fingerprint: Fingerprint of the content after selection of languages.
    """

    name: str
    languages: tuple[str, ...]
    rows: Dataset
    row_IL: NDArray[np.signedinteger]
    language_masks_I: NDArray[np.unsignedinteger]
    fingerprint: str

    @cached_property
    def negatives(self) -> TextLists | None:
        """What each row lists as passages that do not answer its question; None where nothing is listed."""
        if NEGATIVES not in self.rows.column_names:
            return None
        return TextLists(column_of(self.rows, NEGATIVES)) or None


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
