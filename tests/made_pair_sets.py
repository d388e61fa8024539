"""Training sets as a batch plan sees them, made up."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from hybridbatch.batching.plan import Batch, BatchPlan, PairSet

SEEDS = st.integers(0, 2**63 - 1)
LANGUAGES = ("de", "en", "es", "th", "zh")
KINDS = ("crosslingual", "english", "monolingual", "multilingual", "same-language")


@st.composite
def pair_sets(draw: st.DrawFn, least: int = 1, most: int = 90) -> PairSet:
    count = draw(st.integers(1, len(LANGUAGES)))
    chosen = tuple(draw(st.permutations(LANGUAGES))[:count])
    masks = draw(st.lists(st.integers(1, 2**count - 1), min_size=least, max_size=most))
    return PairSet("made-up", chosen, np.array(masks, np.uint64))


def full_set(size: int, languages: tuple[str, ...] = LANGUAGES, name: str = "full") -> PairSet:
    return PairSet(name, languages, np.full(size, 2 ** len(languages) - 1, np.uint64))


def pure(pair_set: PairSet, kind: str, size: int, seed: int) -> BatchPlan:
    return BatchPlan([pair_set], size=size, mix={kind: 1.0}, size_exponent=1.0, seed=seed)


def same(one: Batch, other: Batch) -> bool:
    fields = ("items_B", "question_language_B", "passage_language_B")
    named = (one.step, one.kind, one.dataset) == (other.step, other.kind, other.dataset)
    return named and all(np.array_equal(getattr(one, field), getattr(other, field)) for field in fields)
