"""A stream: the items of one data set that serve one batch kind, visited epoch after epoch without a repeat in a batch.

Shape legend: I items of the data set, B pairs of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from hybridbatch.batching.batch_kind import BatchKind, Integers, Masks
from hybridbatch.batching.keyed_permutation import keyed_permutation, mix64
from hybridbatch.batching.usable_items import UsableItems
from hybridbatch.foundation.seeds import derive_seed

BLOCK = 1024  # positions of an epoch whose pairs are computed together
Columns = tuple[Integers, Integers, Integers]  # items, question languages, passage languages


@dataclass(frozen=True, eq=False)
class Stream:
    """The batches of one kind (and language, where whole batches are in one) from one data set.

    An epoch visits every usable item once, in the order of a keyed permutation. From epoch to epoch an item goes
    through all its language pairs, so that in as many epochs as it has pairs each pair is visited once. It moves on by
    about their number divided by the golden ratio, which keeps the pairs of epochs next to each other far apart.

    Attributes:
        usable: The items that the kind can use.
        size: Number of usable items; at least the batch size.
    """

    kind_name: str
    kind: BatchKind
    dataset: int
    languages: tuple[str, ...]
    language: str | None
    masks_I: Masks
    usable: UsableItems
    size: int
    seed: int
    _kept: dict[tuple[int, int], Columns] = field(default_factory=dict, init=False, repr=False)  # the last block

    def batch(self, number: int, batch_size: int) -> Columns:
        """Return items, question languages and passage languages of the stream's ``number``-th batch, each [B]."""
        first = number * batch_size
        epoch, position = divmod(first, self.size)
        within = min(batch_size, self.size - position)
        parts = [self._visit(epoch, position, position + within, batch_size)]
        if within < batch_size:
            parts.append(self._visit(epoch + 1, 0, batch_size - within, batch_size))
        items_B, question_B, passage_B = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return items_B, question_B, passage_B

    def _visit(self, epoch: int, start: int, stop: int, batch_size: int) -> Columns:
        """Return positions ``start:stop`` of an epoch.

        A batch may hold the last items of one epoch and the first of the next. Those last items are moved behind the
        others in the first ``batch_size`` places of the next epoch, so that none stands twice in that batch.
        """
        if start < batch_size and epoch and self._overhang(epoch, batch_size):
            head = self._head(epoch, batch_size)
            rest = self._raw_order(epoch, batch_size, max(stop, batch_size))
            return self._pairs(epoch, np.concatenate([head[start:stop], rest]))
        blocks = [self._block(epoch, number) for number in range(start // BLOCK, -(-stop // BLOCK))]
        items, question, passage = (np.concatenate(columns) for columns in zip(*blocks, strict=True))
        within = slice(start % BLOCK, start % BLOCK + stop - start)
        return items[within], question[within], passage[within]

    def _block(self, epoch: int, number: int) -> Columns:
        """Return the ``number``-th :data:`BLOCK` positions of an epoch; the batches after this one need them, too."""
        block = self._kept.get((epoch, number))
        if block is None:
            start = number * BLOCK
            block = self._pairs(epoch, self._raw_order(epoch, start, min(start + BLOCK, self.size)))
            self._kept.clear()
            self._kept[epoch, number] = block
        return block

    def _pairs(self, epoch: int, places: Integers) -> Columns:
        """Return the items at some places, and the languages of the pairs that an epoch visits of them."""
        items = self.usable.items(places)
        masks = self.masks_I[items]
        pairs = self.kind.pairs_per_item(masks, self.languages, self.language).astype(np.int64)
        begin = mix64(places.astype(np.uint64) ^ np.uint64(self.seed)) % pairs.astype(np.uint64)
        index = (begin.astype(np.int64) + epoch * _golden_strides(int(pairs.max()))[pairs]) % pairs
        question, passage = self.kind.pair(masks, index, self.languages, self.language)
        return items, question, passage

    def _raw_order(self, epoch: int, start: int, stop: int) -> Integers:
        return keyed_permutation(np.arange(start, stop), self.size, derive_seed(self.seed, epoch))

    def _overhang(self, epoch: int, batch_size: int) -> int:
        """Return how many items before the start of ``epoch`` belong to the batch that reaches into it."""
        return (epoch * self.size) % batch_size

    def _head(self, epoch: int, batch_size: int) -> Integers:
        """Return the first ``batch_size`` places of ``epoch``, with those that would stand twice moved to the end."""
        first = epoch
        while self.size - self._overhang(first, batch_size) < batch_size:
            first -= 1  # a short epoch, whose last items are among the moved ones: they must be known too
        head = np.empty(0, np.int64)
        for current in range(first, epoch + 1):
            start = self.size - self._overhang(current, batch_size)
            tail = np.concatenate([head[start:], self._raw_order(current - 1, max(start, len(head)), self.size)])
            raw = self._raw_order(current, 0, batch_size)
            repeated = np.isin(raw, tail)
            head = np.concatenate([raw[~repeated], raw[repeated]])
        return head


def make_stream(
    kind_name: str,
    kind: BatchKind,
    dataset: int,
    languages: Sequence[str],
    language: str | None,
    masks_I: Masks,
    seed: int,
) -> Stream:
    """Return the stream of one kind and data set; its size is 0 when no item can be used."""
    usable = UsableItems(lambda masks_C: kind.pairs_per_item(masks_C, languages, language), masks_I)
    return Stream(
        kind_name=kind_name,
        kind=kind,
        dataset=dataset,
        languages=tuple(languages),
        language=language,
        masks_I=masks_I,
        usable=usable,
        size=len(usable),
        seed=derive_seed(seed, kind_name, dataset, language or ""),
    )


@lru_cache
def _golden_strides(most: int) -> Integers:
    """Return for each count up to ``most`` a number near count / golden ratio that has no divisor in common with it."""
    strides = [1]
    for count in range(1, most + 1):
        nearest = round(count * 2 / (1 + math.sqrt(5)))
        near = (nearest + sign * distance for distance in range(count) for sign in (-1, 1))
        strides.append(next(stride for stride in near if math.gcd(stride, count) == 1))
    return np.array(strides)
