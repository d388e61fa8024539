"""Which items of a data set a stream can use: how many, and which one is the n-th, without a list of them.

Shape legend: I items of the data set, C of them looked at together, W words of 64 items, B pairs of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from hybridbatch.batching.batch_kind import Integers, Masks

WORD = 64  # items whose bits make a number
CHUNK = 2048 * WORD  # items looked at together: what is computed of them stays in a processor's cache


class UsableItems:
    """Those items of one data set that serve one batch kind (and language, where whole batches are in one).

    Where some do not, a bit for each item says which, and beside each 64 bits stands how many are set up to their end:
    1.5 bits an item, where a list takes 32 (rank and select of a bit vector: Jacobson, "Space-efficient static trees
    and graphs", 1989).

    Args:
        pairs_of: Returns how many language pairs an item of each mask gives; 0 where it cannot be used.
        masks_I: Languages of each item.
    """

    def __init__(self, pairs_of: Callable[[Masks], NDArray[np.integer]], masks_I: Masks) -> None:
        self._total = len(masks_I)
        if self._total and masks_I.min() == masks_I.max():  # mostly: every item in every language
            self._words_W = np.empty(0, np.uint64)
            self._count = self._total if pairs_of(masks_I[:1])[0] > 0 else 0
        else:
            self._words_W = _bits(pairs_of, masks_I)
            self._ends_W = np.cumsum(np.bitwise_count(self._words_W), dtype=np.min_scalar_type(self._total))
            self._count = int(self._ends_W[-1]) if self._total else 0

    def __len__(self) -> int:
        return self._count

    def items(self, places_B: Integers) -> Integers:
        """Return the ``place``-th usable item (from 0) for each place."""
        if self._count == self._total:
            return places_B
        word_B = np.searchsorted(self._ends_W, places_B.astype(self._ends_W.dtype), side="right")
        words_B = self._words_W[word_B]
        counts_B = np.bitwise_count(words_B).astype(np.int64)
        nth_B = places_B - (self._ends_W[word_B] - counts_B)
        bits = np.unpackbits(words_B.view(np.uint8), bitorder="little").view(np.bool_)
        items_B: Integers = word_B * WORD + np.flatnonzero(bits)[np.cumsum(counts_B) - counts_B + nth_B] % WORD
        return items_B

    @staticmethod
    def in_any(choices: Sequence[UsableItems]) -> int:
        """Return how many items of a data set are in at least one of ``choices``."""
        largest = max(choices, key=len)
        if len(choices) == 1 or len(largest) == largest._total:
            return len(largest)
        return int(np.bitwise_count(reduce(np.bitwise_or, (choice._words_W for choice in choices))).sum())


def _bits(pairs_of: Callable[[Masks], NDArray[np.integer]], masks_I: Masks) -> NDArray[np.uint64]:
    """Return a set bit for each usable item, the first lowest."""
    bits = np.zeros(-(-len(masks_I) // WORD) * WORD // 8, np.uint8)
    for start in range(0, len(masks_I), CHUNK):
        packed = np.packbits(pairs_of(masks_I[start : start + CHUNK]) > 0, bitorder="little")
        bits[start // 8 : start // 8 + len(packed)] = packed
    return bits.view(np.uint64)
