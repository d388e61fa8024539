"""What a batch kind is.

Shape legend: I items, B pairs of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.uint64]  # bit l of an item's mask: the item exists in languages[l]
Integers = NDArray[np.int64]


class BatchKind(Protocol):
    """A way of drawing a batch.

    A kind has one stream per data set, or one per language where the whole batch is in one language.
    """

    description: str

    def batch_languages(self, languages: Sequence[str]) -> Sequence[str | None]:
        """Return the languages that whole batches are in, or ``[None]`` where pairs choose for themselves."""

    def pairs_per_item(self, masks_I: Masks, languages: Sequence[str], language: str | None) -> Integers:
        """Return how many (question language, passage language) pairs each item gives; 0 where it cannot be used."""

    def pair(
        self, masks_B: Masks, index_B: Integers, languages: Sequence[str], language: str | None
    ) -> tuple[Integers, Integers]:
        """Return question and passage language of the ``index``-th pair of each item."""


def language_counts(masks_I: Masks) -> Integers:
    """Return in how many languages each item exists."""
    counts_I: Integers = np.asarray(np.bitwise_count(masks_I), dtype=np.int64)
    return counts_I


def nth_language(masks_B: Masks, n_B: Integers) -> Integers:
    """Return the ``n``-th language (from 0) that each item exists in."""
    width = int(masks_B.max()).bit_length()  # fewer columns than 64 are faster
    bits_BL = (masks_B[:, None] >> np.arange(width, dtype=np.uint64)) & np.uint64(1)
    places_B: Integers = np.argmax(np.cumsum(bits_BL, axis=1, dtype=np.int64) == n_B[:, None] + 1, axis=1)
    return places_B


def has_language(masks_I: Masks, languages: Sequence[str], language: str) -> Integers:
    """Return 1 for each item that exists in ``language``, else 0."""
    if language not in languages:
        return np.zeros(len(masks_I), dtype=np.int64)
    return ((masks_I >> np.uint64(languages.index(language))) & np.uint64(1)).astype(np.int64)
