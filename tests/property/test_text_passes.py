"""Texts of a step in passes of like length, and passes in parts."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.made_texts import texts_of

from hybridbatch.evaluation.token_store import joined
from hybridbatch.training.text_passes import TextPass, parts_of, text_passes

LENGTH_LISTS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(
    lengths=LENGTH_LISTS,
    pass_tokens=st.integers(1, 200),
    most_tokens=st.none() | st.integers(1, 300),
    packed=st.booleans(),
)
def test_every_text_is_in_one_pass_with_its_tokens_and_no_part_is_larger_than_asked(
    lengths: list[int], pass_tokens: int, most_tokens: int | None, packed: bool
):
    texts = texts_of(lengths)
    parts = parts_of(text_passes(texts, pass_tokens, packed=packed), most_tokens)
    found = [one for part in parts for _, one in part]
    assert sorted(row for one in found for row in one.rows_R.tolist()) == list(range(len(lengths)))
    assert [number for part in parts for number, _ in part] == list(range(len(found)))
    for one in found:
        assert list(one.lengths) == [lengths[row] for row in one.rows_R.tolist()]
        expected = [texts.ids[texts.offsets[row] : texts.offsets[row + 1]].tolist() for row in one.rows_R.tolist()]
        assert tokens_of(one) == expected
        assert one.size <= pass_tokens or len(one.lengths) == 1
        assert one.size == (sum(one.lengths) if packed else max(one.lengths) * len(one.lengths))
    if most_tokens is not None:
        for part in parts:
            assert sum(one.size for _, one in part) <= most_tokens or len(part) == len(part[0][1].lengths) == 1


def tokens_of(texts: TextPass) -> list[list[int]]:
    """Return the tokens of each text of a pass, as an encoder finds them."""
    if texts.packing is not None:
        assert texts.packing.lengths == texts.lengths
        bounds = itertools.pairwise(texts.packing.offsets_B1.tolist())
        return [texts.ids[begin:end].tolist() for begin, end in bounds]
    assert texts.mask_RT is not None
    return [ids_T[mask_T == 1].tolist() for ids_T, mask_T in zip(texts.ids, texts.mask_RT, strict=True)]


@given(lengths=LENGTH_LISTS, data=st.data())
def test_chosen_texts_are_those_texts_and_stores_are_joined_in_their_order(lengths: list[int], data: st.DataObject):
    texts = texts_of(lengths)
    rows = st.lists(st.integers(0, len(lengths) - 1), max_size=12)
    first, second = (np.array(data.draw(rows), np.int64) for _ in range(2))
    together = joined([texts.chosen(first), texts.chosen(second)])
    expected = np.concatenate([first, second])
    assert len(together) == len(expected)
    assert together.text_hashes_R.tolist() == texts.text_hashes_R[expected].tolist()
    for place, row in enumerate(expected.tolist()):
        ids = together.ids[together.offsets[place] : together.offsets[place + 1]]
        assert ids.tolist() == texts.ids[texts.offsets[row] : texts.offsets[row + 1]].tolist()
