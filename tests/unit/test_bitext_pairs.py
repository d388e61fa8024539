"""Pairs of sentences for arms: what is taken from a data set, and which of them a step takes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hybridbatch.datasets.bitext import Bitext
from hybridbatch.datasets.pairs_file import PairsFile
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.bitext import (
    SentencePairPlan,
    SentencePairs,
    check_batch,
    load_sentence_pairs,
    refuse_reported_text,
)
from hybridbatch.training.losses import Shard

TABLE = "item,language,text\n1,en,one\n1,de,eins\n1,es,uno\n2,de,zwei\n2,en,two\n3,de,drei\n3,es,tres\n4,en,four\n"


@pytest.fixture
def location(tmp_path: Path) -> DataLocation:
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    return DataLocation(tmp_path, tmp_path / "cache")


def sentences(pairs: SentencePairs) -> set[tuple[str, str]]:
    texts = pairs.rows[pairs.column]
    return {(texts[one], texts[other]) for one, other in zip(pairs.pivot_P, pairs.translation_P, strict=True)}


def test_a_sentence_is_paired_with_each_of_its_translations(location: DataLocation):
    pairs = load_sentence_pairs(Bitext(path="table.csv"), "en", location)
    assert sentences(pairs) == {("one", "eins"), ("one", "uno"), ("two", "zwei")}
    assert pairs.languages[0] == "en"
    assert set(pairs.languages) == {"en", "de", "es"}


def test_the_pivot_may_be_another_language(location: DataLocation):
    pairs = load_sentence_pairs(Bitext(path="table.csv", languages=("de", "es")), "de", location)
    assert sentences(pairs) == {("eins", "uno"), ("drei", "tres")}


def test_queries_of_training_pairs_are_parallel_text_too(location: DataLocation):
    rows = "item,language,query,passage\na,en,where,here\na,de,wo,hier\nb,en,who,he\na,es,donde,aqui\n"
    (location.root / "pairs.csv").write_text(rows, encoding="utf-8")
    pairs = load_sentence_pairs(PairsFile(path="pairs.csv", languages=("en", "de")), "en", location)
    assert sentences(pairs) == {("where", "wo")}


def test_text_without_the_pivot_is_refused(location: DataLocation):
    source = Bitext(path="table.csv", languages=("de", "es"))
    with pytest.raises(UserError, match="no sentence has a translation from or into en"):
        load_sentence_pairs(source, "en", location)


def test_every_pair_once_an_epoch_and_none_twice_in_a_batch():
    plan = SentencePairPlan(10, size=4, shard=Shard(), seed=7, purpose="some")
    batches = [plan.batch(step) for step in range(5)]
    assert set(Counter(np.concatenate(batches).tolist()).values()) == {2}, "five batches of four are two epochs of ten"
    assert all(len(set(batch.tolist())) == 4 for batch in batches)
    assert plan.batch(3).tolist() == batches[3].tolist(), "no step depends on what was asked before"


def test_workers_share_the_batch_of_one():
    whole = SentencePairPlan(50, size=6, shard=Shard(), seed=7, purpose="some")
    parts = [SentencePairPlan(50, size=6, shard=Shard(rank, 2), seed=7, purpose="some") for rank in range(2)]
    for step in range(20):
        assert np.concatenate([part.batch(step) for part in parts]).tolist() == whole.batch(step).tolist()


def test_seeds_and_purposes_draw_different_batches():
    plans = [
        SentencePairPlan(1000, size=8, shard=Shard(), seed=seed, purpose=purpose)
        for seed, purpose in ((0, "some"), (1, "some"), (0, "other"))
    ]
    assert len({tuple(plan.batch(0).tolist()) for plan in plans}) == 3


@pytest.mark.parametrize(
    ("size", "workers", "problem"),
    [(4, 1, "a batch is larger than the bitext"), (3, 2, "must be a multiple of resources.workers, 2")],
)
def test_batches_that_cannot_be_drawn_are_refused(location: DataLocation, size: int, workers: int, problem: str):
    pairs = load_sentence_pairs(Bitext(path="table.csv"), "en", location)
    check_batch(3, pairs, 1, "arms.some.batch_size")
    with pytest.raises(UserError, match=re.escape(problem)) as caught:
        check_batch(size, pairs, workers, "arms.some.batch_size")
    assert caught.value.path == "arms.some.batch_size"


def test_bitext_that_a_report_set_holds_is_refused(tmp_path: Path):
    for name, sentence in (
        ("train", "The old lighthouse stands on a rock."),
        ("report", "Nothing of that is here at all."),
    ):
        lines = f"item,language,text\n1,en,{sentence}\n1,de,Der Turm auf dem {name} ist sehr alt.\n"
        (tmp_path / f"{name}.csv").write_text(lines, encoding="utf-8")
    location = DataLocation(tmp_path, tmp_path / "cache")
    pairs = load_sentence_pairs(Bitext(path="train.csv"), "en", location)
    refuse_reported_text(pairs, [Bitext(path="report.csv").task(location)], "arms.some.bitext")
    with pytest.raises(UserError, match="2 of train") as caught:
        refuse_reported_text(pairs, [Bitext(path="train.csv").task(location)], "arms.some.bitext")
    assert caught.value.path == "arms.some.bitext"
