"""Golden batches: what a plan draws must stay, since a trial that is resumed after an update draws what it had not yet.

After a change that is meant to draw other batches: ``pytest tests/golden --update-golden``, and say why in the commit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from hybridbatch.batching.plan import BatchPlan, PairSet
from hybridbatch.foundation import atomic

BATCHES = Path(__file__).with_name("planned_batches.json")
KINDS = ("crosslingual", "english", "monolingual", "multilingual", "same-language")
MIXES = {
    **{kind: {kind: 1.0} for kind in KINDS},
    "hybrid": {"monolingual": 0.5, "crosslingual": 0.5},
    "every kind": {kind: weight for weight, kind in enumerate(KINDS, start=1)},
}
STEPS = (*range(120), 10**6, 10**9 + 7)


def sets() -> list[PairSet]:
    """A complete set, and one in ten languages of which most items lack some."""
    number = np.arange(2777, dtype=np.uint64)
    ten = ("en", "ar", "zh", "de", "es", "ru", "th", "tr", "hi", "el")
    return [
        PairSet("complete", ("de", "en", "th"), np.full(200, 7, np.uint64)),
        PairSet("uneven", ten, number * np.uint64(2654435761) % np.uint64(1023) + np.uint64(1)),
    ]


def digest(mix: dict[str, float]) -> str:
    plan = BatchPlan(sets(), size=24, mix=mix, size_exponent=0.7, seed=11)
    content = hashlib.sha256()
    for batch in map(plan.batch, STEPS):
        content.update(f"{batch.kind} {batch.dataset}".encode())
        for column in (batch.items_B, batch.question_language_B, batch.passage_language_B):
            content.update(column.astype("<i8").tobytes())
    return content.hexdigest()


@pytest.mark.parametrize("name", MIXES)
def test_the_batches_are_the_golden_ones(name: str, request: pytest.FixtureRequest):
    found = digest(MIXES[name])
    if request.config.getoption("--update-golden", default=False):
        golden = atomic.read_json(BATCHES) if BATCHES.exists() else {}
        atomic.write_json(BATCHES, {**golden, name: found})
    assert found == atomic.read_json(BATCHES)[name]


def test_each_mix_has_batches_of_its_own():
    golden = atomic.read_json(BATCHES)
    assert golden.keys() == MIXES.keys()
    assert len(set(golden.values())) == len(MIXES)
