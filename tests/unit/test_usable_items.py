"""Usable items, found by their place without a list."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridbatch.batching.batch_kind import Counts, Masks
from hybridbatch.batching.usable_items import CHUNK, WORD, UsableItems

SIZES = st.one_of(st.integers(1, 3 * WORD), st.sampled_from((CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + WORD + 5)))


def in_language(bit: int) -> UsableItems:
    return UsableItems(lambda masks: _has(masks, bit), np.array([1, 3, 2, 0, 3], np.uint8))


def _has(masks: Masks, bit: int) -> Counts:
    return ((masks >> bit) & 1).astype(np.int16)


def test_by_hand():
    first, second = in_language(0), in_language(1)
    assert [len(first), len(second)] == [3, 3]
    assert first.items(np.arange(3)).tolist() == [0, 1, 4]
    assert second.items(np.array([2, 0, 2])).tolist() == [4, 1, 4]
    assert UsableItems.in_any([first]) == 3
    assert UsableItems.in_any([first, second]) == 4  # all but the fourth


def test_all_and_none():
    same = np.full(130, 1, np.uint16)
    every, none = (UsableItems(lambda masks, bit=bit: _has(masks, bit), same) for bit in (0, 1))
    assert (len(every), len(none)) == (130, 0)
    assert every.items(np.array([7, 129, 0])).tolist() == [7, 129, 0]
    assert UsableItems.in_any([every, every]) == 130
    assert len(UsableItems(lambda masks: _has(masks, 0), same[:0])) == 0


@settings(max_examples=60, deadline=None)
@given(SIZES, st.floats(0, 1), st.integers(0, 2**32), st.data())
def test_the_same_as_a_list(size: int, share: float, seed: int, data: st.DataObject):
    masks_I = (np.random.default_rng(seed).random(size) < share).astype(np.uint8)
    usable = UsableItems(lambda masks: _has(masks, 0), masks_I)
    listed = np.flatnonzero(masks_I)
    assert len(usable) == len(listed)
    if len(listed):
        places = np.array(data.draw(st.lists(st.integers(0, len(listed) - 1), max_size=20)), np.int64)
        assert usable.items(places).tolist() == listed[places].tolist()
        assert usable.items(np.array([0, len(listed) - 1])).tolist() == [listed[0], listed[-1]]


@settings(max_examples=30, deadline=None)
@given(SIZES, st.integers(0, 2**32))
def test_items_in_any_are_counted_once(size: int, seed: int):
    masks_I = np.random.default_rng(seed).integers(0, 16, size, dtype=np.uint8)
    chosen = [UsableItems(lambda masks, bit=bit: _has(masks, bit), masks_I) for bit in (0, 2)]
    assert UsableItems.in_any(chosen) == np.count_nonzero(masks_I & 5)
