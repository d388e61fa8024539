"""What a batch plan promises: shares, no item twice in a batch, every pair once, and steps in any order."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.made_pair_sets import KINDS, SEEDS, full_set, pair_sets, pure, same

from hybridbatch.batching import streams
from hybridbatch.batching.plan import BatchPlan, PairSet
from hybridbatch.foundation.errors import UserError

STEPS = 10_000
MIXES = st.dictionaries(st.sampled_from(KINDS), st.floats(0.05, 5), min_size=1)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Iterator[None]:
    """Let an epoch have several blocks, so that batches reach over their borders, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", 7)
        yield


@settings(max_examples=20)
@given(MIXES, st.lists(st.integers(8, 5000), min_size=1, max_size=3), st.floats(0, 1.5), SEEDS, st.integers(0, 10**9))
def test_realised_shares_are_within_a_hundredth_of_the_weights(
    mix: dict[str, float], sizes: list[int], exponent: float, seed: int, first: int
):
    sets = [full_set(size) for size in sizes]
    plan = BatchPlan(sets, size=8, mix=mix, size_exponent=exponent, seed=seed)
    of_steps = (plan.streams[plan.rotation.stream(step)] for step in range(first, first + STEPS))
    dealt = Counter((stream.kind_name, stream.dataset) for stream in of_steps)
    powers = [size**exponent for size in sizes]
    for (kind, weight), (index, power) in itertools.product(mix.items(), enumerate(powers)):
        share = weight / sum(mix.values()) * power / sum(powers)
        # what is so rare that a hundredth of it is less than six batches is off by six batches at most
        assert dealt[kind, index] / STEPS == pytest.approx(share, rel=0.01, abs=6 / STEPS)


@every_kind
@settings(max_examples=25)
@given(pair_sets(least=6, most=40), st.data(), SEEDS)
def test_epochs_are_whole_and_no_item_stands_twice_in_a_batch_that_reaches_over_their_border(
    kind: str, pair_set: PairSet, data: st.DataObject, seed: int
):
    size = data.draw(st.integers(2, 12))
    plan = _pure_or_assume(pair_set, kind, size, seed)
    visits = {stream.language: Counter[int]() for stream in plan.streams}
    borders = 0
    for step in range(_steps_for(plan, epochs=3)):
        batch = plan.batch(step)
        stream = plan.streams[plan.rotation.stream(step)]
        visited, items = visits[stream.language], batch.items_B.tolist()
        assert len(set(items)) == len(items) == size
        epoch = visited.total() // stream.size
        visited.update(items)
        borders += visited.total() // stream.size > epoch
        least, over = divmod(visited.total(), stream.size)
        assert set(visited.values()) <= {least, least + 1}
        assert sum(count == least + 1 for count in visited.values()) == over
    assert borders


@every_kind
@settings(max_examples=20)
@given(pair_sets(least=4, most=16), st.data(), SEEDS)
def test_a_cycle_of_epochs_visits_every_pair_of_languages_once(
    kind: str, pair_set: PairSet, data: st.DataObject, seed: int
):
    plan = _pure_or_assume(pair_set, kind, data.draw(st.integers(1, 8)), seed)
    wanted = {stream.language: _pairs(pair_set, kind, stream.language) for stream in plan.streams}
    seen: dict[str | None, dict[int, list[tuple[int, int]]]] = {
        language: {item: [] for item in items} for language, items in wanted.items()
    }
    most = max(len(pairs) for items in wanted.values() for pairs in items.values())
    for step in range(_steps_for(plan, epochs=2 * most)):
        batch, language = plan.batch(step), plan.streams[plan.rotation.stream(step)].language
        columns = (batch.items_B, batch.question_language_B, batch.passage_language_B)
        for item, question, passage in zip(*(column.tolist() for column in columns), strict=True):
            seen[language][item].append((question, passage))
    for language, items in wanted.items():
        for item, pairs in items.items():
            for cycle in (seen[language][item][: len(pairs)], seen[language][item][len(pairs) : 2 * len(pairs)]):
                assert sorted(cycle) == sorted(pairs)


@settings(max_examples=20)
@given(st.lists(pair_sets(least=8, most=60), min_size=1, max_size=3), MIXES, SEEDS, st.integers(0, 10**9), st.data())
def test_steps_in_any_order_give_the_batches_of_one_step_after_the_other(
    sets: list[PairSet], mix: dict[str, float], seed: int, first: int, data: st.DataObject
):
    try:
        one, other = (BatchPlan(sets, size=4, mix=mix, size_exponent=1.0, seed=seed) for _ in range(2))
    except UserError:
        assume(False)
    steps = range(first, first + 24)
    in_turn = {step: one.batch(step) for step in steps}
    for step in data.draw(st.permutations(steps)):
        assert same(other.batch(step), in_turn[step])


@settings(max_examples=20)
@given(pair_sets(least=8), st.sampled_from(KINDS), SEEDS, st.integers(0, 10**6))
def test_the_type_of_the_masks_makes_no_difference(pair_set: PairSet, kind: str, seed: int, step: int):
    wide = _pure_or_assume(pair_set, kind, 4, seed)
    for mask_type in (np.uint8, np.uint16, np.uint32):
        narrow = PairSet(pair_set.name, pair_set.languages, pair_set.masks_I.astype(mask_type))
        assert same(pure(narrow, kind, 4, seed).batch(step), wide.batch(step))


def _pure_or_assume(pair_set: PairSet, kind: str, size: int, seed: int) -> BatchPlan:
    try:
        return pure(pair_set, kind, size, seed)
    except UserError:  # too few items have what the kind needs
        assume(False)
        raise


def _steps_for(plan: BatchPlan, epochs: int) -> int:
    """Return after how many steps each stream has gone through so many epochs; streams take turns, nearly."""
    batches = -(-epochs * max(stream.size for stream in plan.streams) // plan.size)
    return len(plan.streams) * (batches + 3)


def _pairs(pair_set: PairSet, kind: str, language: str | None) -> dict[int, list[tuple[int, int]]]:
    """Return the pairs of languages of each item that a stream can use, by the definition of its kind."""
    found = defaultdict(list)
    only = None if language is None else pair_set.languages.index(language)
    for item, mask in enumerate(pair_set.masks_I.tolist()):
        there = [bit for bit in range(len(pair_set.languages)) if mask >> bit & 1]
        for question, passage in itertools.product(there, there):
            different = question != passage
            if {
                "english": not different and question == only,
                "monolingual": not different and question == only,
                "same-language": not different,
                "crosslingual": different,
                "multilingual": True,
            }[kind]:
                found[item].append((question, passage))
    return found
