"""What a batch kind is.

Shape legend: I items, B pairs of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.unsignedinteger]  # bit l of an item's mask: the item exists in languages[l]; any unsigned type
Counts = NDArray[np.int16]  # of languages, at most 64, or of their pairs, at most 4,096
Integers = NDArray[np.int64]


class BatchKind(Protocol):
    """A way of drawing a batch.

    A kind has one stream per data set, or one per language where the whole batch is in one language.

    What an item can be used for follows from its mask alone. Masks come in the narrowest type that has a bit for each
    language: shifted and compared with plain numbers they stay in it, which for tens of millions of items is what takes
    the time.
    """

    description: str

    def batch_languages(self, languages: Sequence[str]) -> Sequence[str | None]:
        """Return the languages that whole batches are in, or ``[None]`` where pairs choose for themselves."""

    def pairs_per_item(self, masks_I: Masks, languages: Sequence[str], language: str | None) -> Counts:
        """Return how many (question language, passage language) pairs each item gives; 0 where it cannot be used."""

    def pair(
        self, masks_B: Masks, index_B: Integers, languages: Sequence[str], language: str | None
    ) -> tuple[Integers, Integers]:
        """Return question and passage language of the ``index``-th pair of each item."""


def language_counts(masks_I: Masks) -> Counts:
    """Return in how many languages each item exists."""
    return np.bitwise_count(masks_I).astype(np.int16)


def nth_language(masks_B: Masks, n_B: Integers) -> Integers:
    """Return the ``n``-th language (from 0) that each item exists in."""
    width = int(masks_B.max()).bit_length()  # fewer columns than 64 are faster
    bits_BL = (masks_B[:, None] >> np.arange(width, dtype=masks_B.dtype)) & 1
    places_B: Integers = np.argmax(np.cumsum(bits_BL, axis=1, dtype=np.int8) == n_B[:, None] + 1, axis=1)
    return places_B


def has_language(masks_I: Masks, languages: Sequence[str], language: str) -> Counts:
    """Return 1 for each item that exists in ``language``, else 0."""
    if language not in languages:
        return np.zeros(len(masks_I), dtype=np.int16)
    return ((masks_I >> languages.index(language)) & 1).astype(np.int16)
