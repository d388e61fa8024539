"""Which passages of a batch are no negatives of each other, and the loss over parts of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.small_study import experiment
from tests.tiny_trial import make_trainer

from hybridbatch.batching.plan import Batch
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training import passage_groups as passage_groups_module
from hybridbatch.training.passage_groups import groups_of_texts, passage_groups
from hybridbatch.training.training_texts import passage_keys
from hybridbatch.training.workshop import TokenisedPairs, Workshop

# Items a and b share a passage in English, b and c in German, d and e none with anybody.
ROWS = """item,language,query,passage
a,en,who,shared one
a,de,wer,geteilt a
b,en,what,shared one
b,de,was,geteilt zwei
c,de,wo,geteilt zwei
d,en,when,alone d
e,en,why,alone e
"""


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shared.csv").write_text(ROWS, encoding="utf-8")
    return Workshop(DataLocation(tmp_path / "data", tmp_path / "cache"))


def changes(**more: Any) -> dict[str, Any]:
    source = {"dataset": "parallel-pairs", "path": "shared.csv"}
    sets = {"data.train": [source], "data.selection": source, "data.report": []}
    return {**sets, "batches.size": 2, "batches.mix": {"multilingual": 1.0}, **more}


def tokens(workshop: Workshop) -> list[TokenisedPairs]:
    return workshop.training_tokens(experiment(changes()))


def batch(items: list[int], passage_languages: list[int]) -> Batch:
    languages = np.array(passage_languages)
    return Batch(0, "multilingual", 0, np.array(items), languages, languages)


def test_items_that_share_a_passage_in_any_language_are_one_group(workshop: Workshop):
    (of_set,) = tokens(workshop)
    a, b, c, d, e = of_set.passage_groups_I.tolist()
    assert a == b == c
    assert len({a, d, e}) == 3


@given(data=st.data())
def test_groups_are_those_of_one_passage_after_the_other_whatever_the_parts(data: st.DataObject):
    items, languages = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 3))
    random = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    there_IL = random.random((items, languages)) < 0.7
    row_IL = np.where(there_IL, there_IL.cumsum().reshape(there_IL.shape) - 1, -1).astype(np.int32)
    hashes_R = random.integers(0, 15, there_IL.sum()).astype(np.uint64) * np.uint64(7919 << 40)
    expected = list(range(items))
    for one in range(items):
        for other in range(items):
            both = [{int(hashes_R[row]) for row in row_IL[item] if row >= 0} for item in (one, other)]
            if both[0] & both[1]:
                expected = [expected[one] if group == expected[other] else group for group in expected]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_IN_A_PART", "_AT_ONCE"):
            patch.setattr(passage_groups_module, name, data.draw(st.integers(1, 20)))
        groups_I = passage_groups(row_IL, hashes_R)
        texts_S = np.append(hashes_R, np.uint64(1))
        groups_S = groups_of_texts(texts_S, groups_I, row_IL, hashes_R)
    assert [expected.index(group) for group in expected] == [groups_I.tolist().index(group) for group in groups_I]
    item_of_row = {row: item for item in range(items) for row in row_IL[item].tolist() if row >= 0}
    assert groups_S.tolist() == [*(groups_I[item_of_row[row]] for row in range(len(hashes_R))), -1]


def test_equal_texts_have_equal_keys_and_translations_only_when_asked_for(workshop: Workshop):
    sets = tokens(workshop)
    assert sets[0].pairs.languages == ("de", "en")
    in_english, mixed = batch([0, 1, 3], [1, 1, 1]), batch([0, 1, 2, 3], [1, 0, 0, 1])
    first, second, third = passage_keys(sets, in_english, translations=False).tolist()
    assert first == second != third
    plain = passage_keys(sets, mixed, translations=False).tolist()
    assert len(set(plain)) == 3, "b and c have the same German passage, a stands there in English"
    assert plain[1] == plain[2]
    a, b, c, d = passage_keys(sets, mixed, translations=True).tolist()
    assert a == b == c != d


@pytest.mark.parametrize(
    ("more", "distinct"),
    [
        ({}, 2),
        ({"loss.mask_translations": True}, 1),
        ({"loss.mask_equal_passages": False}, 3),
        ({"loss.mask_equal_passages": False, "loss.mask_translations": True}, 1),
    ],
)
def test_a_trial_masks_what_its_settings_say(workshop: Workshop, more: dict[str, Any], distinct: int):
    trainer = make_trainer(workshop, changes(**more))
    assert len(set(trainer.objective.keys(batch([0, 1, 2], [1, 0, 0])).tolist())) == distinct
