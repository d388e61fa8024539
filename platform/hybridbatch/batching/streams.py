"""A stream: the items of one data set that serve one batch kind, visited epoch after epoch without a repeat in a batch.

Shape legend: I items of the data set, E usable items, B pairs of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hybridbatch.batching.batch_kind import BatchKind, Integers, Masks
from hybridbatch.batching.keyed_permutation import keyed_permutation
from hybridbatch.foundation.seeds import derive_seed


@dataclass(frozen=True, eq=False)
class Stream:
    """The batches of one kind (and language, where whole batches are in one) from one data set.

    An epoch visits every usable item once, in the order of a keyed permutation. From epoch to epoch an item goes
    through all its language pairs, so that after as many epochs as it has pairs each pair was visited once.

    Attributes:
        usable_E: The usable items, or None when all are.
        pairs_E: Language pairs of each usable item.
        size: Number of usable items; at least the batch size.
    """

    kind_name: str
    kind: BatchKind
    dataset: int
    languages: tuple[str, ...]
    language: str | None
    masks_I: Masks
    usable_E: NDArray[np.uint32] | None
    pairs_E: Integers
    size: int
    seed: int

    def batch(self, number: int, batch_size: int) -> tuple[Integers, Integers, Integers]:
        """Return items, question languages and passage languages of the stream's ``number``-th batch, each [B]."""
        first = number * batch_size
        epoch, position = divmod(first, self.size)
        within = min(batch_size, self.size - position)
        parts = [self._visit(epoch, position, position + within, batch_size)]
        if within < batch_size:
            parts.append(self._visit(epoch + 1, 0, batch_size - within, batch_size))
        items_B, question_B, passage_B = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return items_B, question_B, passage_B

    def _visit(self, epoch: int, start: int, stop: int, batch_size: int) -> tuple[Integers, Integers, Integers]:
        places = self._order(epoch, start, stop, batch_size)
        pairs = self.pairs_E[places]
        turn = epoch // pairs  # each time round its pairs, an item goes through them in another order
        keys = (np.uint64(self.seed) ^ places.astype(np.uint64)) + (turn.astype(np.uint64) << np.uint64(32))
        index = keyed_permutation(epoch % pairs, pairs, keys)
        items = places if self.usable_E is None else self.usable_E[places].astype(np.int64)
        question, passage = self.kind.pair(self.masks_I[items], index, self.languages, self.language)
        return items, question, passage

    def _order(self, epoch: int, start: int, stop: int, batch_size: int) -> Integers:
        """Return positions ``start:stop`` of an epoch.

        A batch may hold the last items of one epoch and the first of the next. Those last items are moved behind the
        others in the first ``batch_size`` places of the next epoch, so that none stands twice in that batch.
        """
        if start >= batch_size or epoch == 0 or self._overhang(epoch, batch_size) == 0:
            return self._raw_order(epoch, start, stop)
        head = self._head(epoch, batch_size)
        if stop <= batch_size:
            return head[start:stop]
        return np.concatenate([head[start:], self._raw_order(epoch, batch_size, stop)])

    def _raw_order(self, epoch: int, start: int, stop: int) -> Integers:
        return keyed_permutation(np.arange(start, stop), self.size, derive_seed(self.seed, epoch))

    def _overhang(self, epoch: int, batch_size: int) -> int:
        """Return how many items before the start of ``epoch`` belong to the batch that reaches into it."""
        return (epoch * self.size) % batch_size

    @lru_cache(maxsize=4)  # noqa: B019 - streams live as long as their plan
    def _head(self, epoch: int, batch_size: int) -> Integers:
        overhang = self._overhang(epoch, batch_size)
        first_with_neighbours = epoch  # an epoch under two batches long has a tail that its own head reaches into
        if self.size - overhang < batch_size:
            first_with_neighbours = 1
        head = self._raw_order(0, 0, batch_size)
        for current in range(first_with_neighbours, epoch + 1):
            overhang = self._overhang(current, batch_size)
            previous = self._raw_order(current - 1, 0, self.size) if self.size < 2 * batch_size else None
            if previous is not None:
                previous[:batch_size] = head
                tail = previous[self.size - overhang :]
            else:
                tail = self._raw_order(current - 1, self.size - overhang, self.size)
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
    pairs_I = kind.pairs_per_item(masks_I, languages, language)
    usable = pairs_I > 0
    everything = bool(usable.all())
    return Stream(
        kind_name=kind_name,
        kind=kind,
        dataset=dataset,
        languages=tuple(languages),
        language=language,
        masks_I=masks_I,
        usable_E=None if everything else np.flatnonzero(usable).astype(np.uint32),
        pairs_E=pairs_I if everything else pairs_I[usable],
        size=int(usable.sum()),
        seed=derive_seed(seed, kind_name, dataset, language or ""),
    )
