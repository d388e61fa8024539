"""What every registered batch kind promises (:class:`hybridbatch.batching.batch_kind.BatchKind`)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridbatch.batching.batch_kind import has_language, language_counts, nth_language
from hybridbatch.batching.plan import BatchPlan, PairSet
from hybridbatch.foundation.registries import BATCH_KINDS

KINDS = sorted(BATCH_KINDS.entries().items())
LANGUAGES = ("en", "ar", "de", "el", "es", "hi", "ru", "th", "tr", "vi", "zh")
MASKS = st.lists(st.integers(1, 2 ** len(LANGUAGES) - 1), min_size=1, max_size=6)
every_kind = pytest.mark.parametrize(("name", "kind"), KINDS, ids=[name for name, _ in KINDS])


def test_the_kinds_of_the_method_are_there():
    assert {"english", "same-language", "monolingual", "crosslingual", "multilingual"} <= {name for name, _ in KINDS}


@every_kind
def test_it_says_what_it_is(name: str, kind: Any):
    assert re.fullmatch(r"[a-z][a-z0-9-]*", name)
    assert len(kind.description) > 10
    assert type(kind).__doc__


@every_kind
@given(st.lists(st.sampled_from(LANGUAGES), min_size=1, unique=True))
def test_whole_batches_are_in_languages_each_named_once(name: str, kind: Any, languages: list[str]):
    of_batches = list(kind.batch_languages(languages))
    assert len(set(of_batches)) == len(of_batches) > 0
    assert all(language is None or language in (*languages, "en") for language in of_batches)


@every_kind
@given(MASKS, st.sampled_from((np.uint16, np.uint32, np.uint64)))
def test_each_pair_of_an_item_is_another_one_in_languages_that_it_exists_in(
    name: str, kind: Any, masks: list[int], mask_type: type
):
    masks_I = np.array(masks, mask_type)
    for language in kind.batch_languages(LANGUAGES):
        pairs_I = kind.pairs_per_item(masks_I, LANGUAGES, language)
        assert np.issubdtype(pairs_I.dtype, np.integer)
        assert pairs_I.shape == masks_I.shape
        for mask, pairs in zip(masks, pairs_I.tolist(), strict=True):
            repeated = np.full(pairs, mask, mask_type)
            if not pairs:
                continue
            question, passage = kind.pair(repeated, np.arange(pairs), LANGUAGES, language)
            both = list(zip(question.tolist(), passage.tolist(), strict=True))
            assert len(set(both)) == pairs
            assert all((mask >> one) & 1 for pair in both for one in pair)
            if language is not None:
                assert set(both) == {(LANGUAGES.index(language),) * 2}


@every_kind
def test_items_in_one_language_alone_are_no_trouble(name: str, kind: Any):
    masks = np.array([1] * 12 + [2 ** len(LANGUAGES) - 1] * 12, np.uint64)
    plan = BatchPlan([PairSet("a", LANGUAGES, masks)], size=4, mix={name: 1.0}, size_exponent=1, seed=0)
    for step in range(30):
        batch = plan.batch(step)
        assert batch.kind == name
        for language_B in (batch.question_language_B, batch.passage_language_B):
            assert np.all((masks[batch.items_B] >> language_B.astype(np.uint64)) & np.uint64(1))


@given(st.lists(st.integers(1, 2**64 - 1), min_size=1, max_size=5), st.data())
def test_languages_are_counted_from_the_lowest_bit_up_to_the_64th(masks: list[int], data: st.DataObject):
    masks_B = np.array(masks, np.uint64)
    counts_B = language_counts(masks_B)
    assert counts_B.tolist() == [mask.bit_count() for mask in masks]
    n = [data.draw(st.integers(0, count - 1)) for count in counts_B.tolist()]
    expected = [[bit for bit in range(64) if (mask >> bit) & 1][one] for mask, one in zip(masks, n, strict=True)]
    assert nth_language(masks_B, np.array(n)).tolist() == expected


def test_a_language_that_the_set_does_not_have_no_item_exists_in():
    masks_I = np.array([1, 2, 3], np.uint64)
    assert has_language(masks_I, ("de", "en"), "en").tolist() == [0, 1, 1]
    assert has_language(masks_I, ("de", "en"), "zh").tolist() == [0, 0, 0]
