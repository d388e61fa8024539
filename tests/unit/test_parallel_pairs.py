"""The languages of items as masks."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from hybridbatch.datasets.parallel_pairs import CHUNK, ParallelPairs


def pairs(row_IL: np.ndarray) -> ParallelPairs:
    languages = tuple(f"l{column}" for column in range(row_IL.shape[1]))
    return ParallelPairs("made-up", languages, Dataset.from_dict({}), row_IL, fingerprint="")


def test_a_bit_stands_for_each_language_that_an_item_exists_in():
    assert pairs(np.array([[2, 0, -1], [-1, 1, -1], [3, -1, 4]])).language_masks_I.tolist() == [3, 2, 5]


@pytest.mark.parametrize(
    ("languages", "narrowest"), [(1, np.uint8), (8, np.uint8), (9, np.uint16), (17, np.uint32), (64, np.uint64)]
)
def test_masks_are_of_the_narrowest_type(languages: int, narrowest: type):
    row_IL = np.zeros((2, languages), np.int64)
    row_IL[1, :-1] = -1
    masks_I = pairs(row_IL).language_masks_I
    assert masks_I.dtype == narrowest
    assert masks_I.tolist() == [2**languages - 1, 2 ** (languages - 1)]


def test_many_items_are_looked_at_in_parts():
    row_IL = np.arange(2 * CHUNK + 7)[:, None] % [2, 3] - 1
    masks_I = pairs(row_IL).language_masks_I
    assert masks_I[:6].tolist() == [0, 3, 2, 1, 2, 3]
    assert np.array_equal(masks_I, np.resize(masks_I[:6], len(masks_I)))
