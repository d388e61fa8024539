"""Planned batches: what holds for every size, seed, mix and pattern of languages."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.made_pair_sets import KINDS, LANGUAGES, SEEDS, full_set, pair_sets, pure, same

from hybridbatch.batching.keyed_permutation import keyed_permutation
from hybridbatch.batching.mixture import MixtureCount
from hybridbatch.batching.plan import Batch, BatchPlan, PairSet
from hybridbatch.batching.rotation import Rotation
from hybridbatch.foundation.errors import UserError


@given(st.integers(1, 5000), SEEDS)
def test_a_keyed_permutation_visits_everything_once(size: int, key: int):
    there = keyed_permutation(np.arange(size), size, key)
    assert np.array_equal(np.sort(there), np.arange(size))


@given(st.integers(1, 2**62), SEEDS, st.data())
def test_values_of_a_keyed_permutation_stand_on_their_own(size: int, key: int, data: st.DataObject):
    index = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=8))
    together = keyed_permutation(index, size, key)
    assert together.tolist() == [int(keyed_permutation(one, size, key)) for one in index]
    assert np.all((together >= 0) & (together < size))
    assert len(set(together.tolist())) == len(set(index))


def test_a_keyed_permutation_broadcasts_and_refuses_what_lies_outside():
    table = keyed_permutation(np.arange(7)[:, None], 7, np.arange(3))
    assert table.shape == (7, 3)
    assert all(sorted(column) == list(range(7)) for column in table.T.tolist())
    for index, size in ((-1, 5), (5, 5), (0, 0)):
        with pytest.raises(ValueError, match="0 <= index < size"):
            keyed_permutation(index, size, 0)


@pytest.mark.parametrize("size", [6, 100, 1000])
def test_a_keyed_permutation_looks_random(size: int):
    keys = np.arange(6000)
    there = keyed_permutation(0, size, keys)  # where the first goes under many keys: each place equally often
    counts = np.bincount(there, minlength=size)
    chi_squared = float(((counts - 6000 / size) ** 2 / (6000 / size)).sum())
    assert abs(chi_squared - (size - 1)) < 5 * np.sqrt(2 * (size - 1))
    neighbours = keyed_permutation(1, size, keys) - there
    assert np.mean(np.abs(neighbours) == 1) == pytest.approx(2 / size, abs=0.03)


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=8), SEEDS, st.integers(0, 300))
def test_a_rotation_counts_as_if_it_had_gone_step_by_step(weights: list[float], seed: int, steps: int):
    rotation = Rotation(weights, seed)
    dealt = Counter(rotation.stream(step) for step in range(steps))
    for stream, weight in enumerate(weights):
        assert rotation.count(stream, steps) == dealt[stream]
        assert abs(dealt[stream] - steps * weight / sum(weights)) <= 3


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=8), SEEDS, st.integers(0, 10**9))
def test_a_rotation_is_fair_after_any_number_of_steps(weights: list[float], seed: int, steps: int):
    rotation = Rotation(weights, seed)
    counts = [rotation.count(stream, steps) for stream in range(len(weights))]
    assert sum(counts) == steps
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - steps * weight / sum(weights)) <= 6  # grows with the logarithm of the steps at most
    next_one = rotation.stream(steps)
    assert rotation.count(next_one, steps + 1) == counts[next_one] + 1


@given(st.integers(2, 12), st.integers(0, 24), st.sampled_from(KINDS), SEEDS)
def test_every_epoch_visits_each_item_once_and_no_batch_holds_one_twice(size: int, more: int, kind: str, seed: int):
    items = size + more  # from one batch to three
    assume(items <= 3 * size)
    plan = pure(full_set(items), kind, size, seed)
    visits = {stream.language: np.zeros(items, np.int64) for stream in plan.streams}
    for step in range(4 * items * len(visits) // size):
        batch = plan.batch(step)
        stream = None if None in visits else LANGUAGES[batch.question_language_B[0]]
        visits[stream][batch.items_B] += 1  # an item that stands twice is counted once
        done = visits[stream].sum()
        assert done % size == 0, "an item stood twice"
        assert np.all((visits[stream] == done // items) | (visits[stream] == done // items + 1))


@given(pair_sets(least=4), st.sampled_from(("crosslingual", "multilingual", "same-language")), SEEDS)
def test_after_as_many_epochs_as_an_item_has_pairs_each_was_visited_once(pair_set: PairSet, kind: str, seed: int):
    counts = np.bitwise_count(pair_set.masks_I).astype(int)
    pairs = {"crosslingual": counts * (counts - 1), "multilingual": counts**2, "same-language": counts}[kind]
    usable = int((pairs > 0).sum())
    assume(usable >= 2)
    plan = pure(pair_set, kind, usable, seed)  # a batch is an epoch
    visits: dict[int, list[tuple[int, int]]] = {item: [] for item in range(len(pairs))}
    for epoch in range(int(pairs.max())):
        batch = plan.batch(epoch)
        columns = (batch.items_B, batch.question_language_B, batch.passage_language_B)
        for item, question, passage in zip(*(column.tolist() for column in columns), strict=True):
            visits[item].append((question, passage))
    for item, total in enumerate(pairs.tolist()):
        seen = visits[item][:total]
        assert len(set(seen)) == len(seen) == total
        assert all((int(pair_set.masks_I[item]) >> language) & 1 for pair in seen for language in pair)
        assert kind != "crosslingual" or all(question != passage for question, passage in seen)
        assert kind != "same-language" or all(question == passage for question, passage in seen)


@settings(max_examples=40)
@given(
    st.lists(pair_sets(least=8, most=60), min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(KINDS), st.floats(0.05, 5), min_size=1),
    st.floats(0, 2),
    SEEDS,
    st.lists(st.integers(0, 10**6), min_size=1, max_size=12),
)
def test_a_batch_depends_on_its_step_alone(
    sets: list[PairSet], mix: dict[str, float], exponent: float, seed: int, steps: list[int]
):
    def fresh() -> BatchPlan:
        return BatchPlan(sets, size=4, mix=mix, size_exponent=exponent, seed=seed)

    try:
        plan = fresh()
    except UserError:
        assume(False)
    for step in steps:
        batch = plan.batch(step)
        assert same(batch, fresh().batch(step))
        _check(batch, sets[batch.dataset], mix)
    again = [plan.batch(step) for step in reversed(steps)]
    assert all(same(batch, fresh().batch(batch.step)) for batch in again)


def _check(batch: Batch, pair_set: PairSet, mix: dict[str, float]) -> None:
    question_B, passage_B = batch.question_language_B, batch.passage_language_B
    assert batch.kind in mix
    assert len(set(batch.items_B.tolist())) == len(batch.items_B) == 4
    for language_B in (question_B, passage_B):
        assert np.all((pair_set.masks_I[batch.items_B] >> language_B.astype(np.uint64)) & np.uint64(1))
    if batch.kind == "crosslingual":
        assert np.all(question_B != passage_B)
    if batch.kind in ("same-language", "monolingual", "english"):
        assert np.array_equal(question_B, passage_B)
    if batch.kind in ("monolingual", "english"):
        assert len(set(question_B.tolist())) == 1
    if batch.kind == "english":
        assert pair_set.languages[question_B[0]] == "en"


@given(st.sampled_from(KINDS), SEEDS, st.integers(0, 10**5))
def test_the_same_global_batch_is_cut_for_any_number_of_workers(kind: str, seed: int, step: int):
    batch = pure(full_set(50), kind, 16, seed).batch(step)
    for workers in (1, 2, 4, 8):
        parts = [batch.items_B[batch.shard(rank, workers)] for rank in range(workers)]
        assert {len(part) for part in parts} == {16 // workers}
        assert np.array_equal(np.concatenate(parts), batch.items_B)


@settings(max_examples=5)
@given(st.dictionaries(st.sampled_from(KINDS), st.floats(0.1, 5), min_size=2), SEEDS)
def test_realised_shares_follow_the_weights(mix: dict[str, float], seed: int):
    plan = BatchPlan([full_set(40)], size=4, mix=mix, size_exponent=1.0, seed=seed)
    count = MixtureCount(plan.sets)
    for step in range(1000):
        count.add(plan.batch(step))
    for kind, weight in mix.items():
        assert count.batches[kind] / 1000 == pytest.approx(weight / sum(mix.values()), abs=0.01)
    assert count.datasets == {"full": 1000}
    assert sum(count.pairs.values()) == 4000
    mono = [pairs for pair, pairs in count.pairs.items() if len(set(pair.split("-"))) == 1]
    if mix.keys() == {"monolingual", "crosslingual"}:
        assert sum(mono) == 4 * count.batches["monolingual"]


@settings(max_examples=5)
@given(SEEDS)
def test_languages_of_monolingual_batches_come_equally_often(seed: int):
    sizes = {"de": 10, "en": 40, "es": 20}
    masks = [7] * 10 + [6] * 10 + [2] * 20  # the more a language has, the less often its items come
    plan = pure(PairSet("uneven", ("de", "en", "es"), np.array(masks, np.uint64)), "monolingual", 8, seed)
    languages = Counter(int(plan.batch(step).question_language_B[0]) for step in range(300))
    assert all(abs(languages[index] - 100) <= 2 for index in range(len(sizes)))


@settings(max_examples=8)
@given(SEEDS, st.floats(0, 2))
def test_sets_are_drawn_by_size_to_the_power_of_the_exponent(seed: int, exponent: float):
    sets = [full_set(20, name="small"), full_set(80, name="large")]
    plan = BatchPlan(sets, size=4, mix={"crosslingual": 1.0}, size_exponent=exponent, seed=seed)
    drawn = Counter(plan.batch(step).dataset for step in range(400))
    assert drawn[1] / 400 == pytest.approx(80**exponent / (20**exponent + 80**exponent), abs=0.01)


@pytest.mark.parametrize(("exponent", "expected"), [(0.0, 200), (1.0, 320)])
def test_the_two_exponents_by_hand(exponent: float, expected: int):
    sets = [full_set(20), full_set(80)]
    plan = BatchPlan(sets, size=4, mix={"english": 1.0}, size_exponent=exponent, seed=1)
    assert sum(plan.batch(step).dataset for step in range(400)) == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("kind", ["monolingual", "same-language", "multilingual"])
def test_an_item_counts_for_the_size_of_its_set_in_whichever_language_it_is(kind: str):
    parallel = full_set(60, ("de", "en", "es"), "parallel")
    apart = PairSet("apart", ("de", "en", "es"), np.repeat(np.array([1, 2, 4], np.uint64), 60))  # 60 in each language
    plan = BatchPlan([parallel, apart], size=4, mix={kind: 1.0}, size_exponent=1, seed=0)
    assert sum(plan.batch(step).dataset for step in range(400)) == pytest.approx(300, abs=2)


def test_items_that_only_a_language_too_small_for_a_batch_has_do_not_count():
    alone = PairSet("alone", ("de", "en"), np.repeat(np.array([1, 2], np.uint64), [3, 20]))
    plan = BatchPlan([full_set(60), alone], size=4, mix={"monolingual": 1.0}, size_exponent=1, seed=0)
    assert sum(plan.batch(step).dataset for step in range(400)) == pytest.approx(100, abs=2)


def test_items_in_one_language_do_not_count_for_crosslingual_batches():
    half = PairSet("half", ("de", "en"), np.repeat(np.array([1, 3], np.uint64), 20))
    plan = BatchPlan([full_set(60), half], size=4, mix={"crosslingual": 1.0}, size_exponent=1, seed=0)
    assert sum(plan.batch(step).dataset for step in range(400)) == pytest.approx(100, abs=2)


def test_a_kind_that_no_set_can_fill_is_refused():
    only_german = PairSet("german", ("de", "en"), np.full(30, 1, np.uint64))
    with pytest.raises(UserError) as caught:
        BatchPlan([only_german], size=8, mix={"monolingual": 1.0, "english": 0.2}, size_exponent=1, seed=0)
    assert str(caught.value).startswith("batches.mix.english: no training set can fill a english batch (English")
    assert "at most 0 usable items, batches.size 8" in str(caught.value)
    assert "make batches.size smaller" in str(caught.value)
    with pytest.raises(UserError, match="crosslingual"):
        pure(only_german, "crosslingual", 8, 0)


def test_what_is_left_out_is_noted_and_a_kind_without_weight_is_not_looked_at():
    uneven = PairSet("uneven", ("de", "en"), np.array([3] * 5 + [2] * 5, np.uint64))
    tiny = full_set(3, name="tiny")
    mix = {"monolingual": 1.0, "crosslingual": 0.0}
    plan = BatchPlan([uneven, tiny], size=6, mix=mix, size_exponent=1, seed=0)
    german = PairSet("german", ("de",), np.full(9, 1, np.uint64))
    assert BatchPlan([uneven, german], size=4, mix={"crosslingual": 1.0}, size_exponent=1, seed=0).left_out == [
        "crosslingual: german has 0 items, a batch needs 4"
    ]
    assert plan.left_out == [
        "monolingual: uneven de has 5 items, a batch needs 6",
        *(f"monolingual: tiny {language} has 3 items, a batch needs 6" for language in LANGUAGES),
    ]
    assert {plan.batch(step).dataset for step in range(50)} == {0}


def test_epochs_are_counted_by_kind_and_set():
    plan = BatchPlan([full_set(40)], size=4, mix={"english": 1, "crosslingual": 3}, size_exponent=1, seed=0)
    epochs = plan.epochs(400)
    assert epochs["english full"] == pytest.approx(10, abs=0.2)
    assert epochs["crosslingual full"] == pytest.approx(30, abs=0.2)


def test_pairs_of_epochs_next_to_each_other_are_far_apart():
    plan = pure(full_set(10), "crosslingual", 10, 3)
    languages = [plan.batch(epoch) for epoch in range(4)]
    by_item = [dict(zip(b.items_B.tolist(), b.question_language_B.tolist(), strict=True)) for b in languages]
    for one, other in itertools.pairwise(by_item):
        assert sum(one[item] == other[item] for item in range(10)) <= 3


def test_seeds_give_other_batches():
    first, second = (pure(full_set(500), "crosslingual", 64, seed).batch(0) for seed in (0, 1))
    assert len(set(first.items_B.tolist()) & set(second.items_B.tolist())) < 32
