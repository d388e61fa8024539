"""Targeted lexical injection: which layer, which projections, which words, and what it is good for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from peft.tuners.lora import LoraLayer
from tests.planted_translations import planted_experiment, write_files
from tests.published_laser import small_laser

from hybridbatch.evaluation.measure import measure
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.checks import check_study
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.lexical_alignment import best_layer, projections_up_to
from hybridbatch.training.losses import Shard
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.word_pairs import languages_of, word_pairs
from hybridbatch.training.workshop import Workshop

ARM = {"dictionary": "dictionary.parquet", "steps": 120, "batch_size": 32, "learning_rate": 0.01, "loss": "info-nce"}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("planted")
    return Workshop(DataLocation(write_files(folder / "data"), folder / "cache"))


def trainer(workshop: Workshop, **settings: Any) -> Trainer:
    return Trainer(planted_experiment({"arms.lexical-injection": {**ARM, **settings}}), workshop, Shard(), "cpu")


def across_languages(workshop: Workshop, trained: Trainer) -> float:
    trained.train_until(trained.experiment.training.steps, lambda point: None)
    data = workshop.data(trained.experiment.data)
    measured = measure(trained.encoder, workshop.task_tokens(trained.experiment, data.selection))
    assert measured is not None
    return measured[0].summary["map_cross"]


def test_words_that_were_aligned_bring_sentences_of_other_words_together(workshop: Workshop):
    without = across_languages(workshop, Trainer(planted_experiment(), workshop, Shard(), "cpu"))
    with_it = trainer(workshop)
    (record,) = with_it.stages
    outcome = atomic.read_json(workshop.location.cache / "stages" / record.outcome / "outcome.json")["more"]
    layer = outcome["layer"]
    assert len(outcome["before"]) == len(outcome["after"]) == 3, "the embedding and two layers"
    assert outcome["before"][layer]["found"] < 0.4
    assert outcome["after"][layer]["found"] > 0.8, "also of words that were held out"
    assert without < 0.2
    assert across_languages(workshop, with_it) > without + 0.2


def test_nothing_of_lora_is_left_and_only_the_layers_asked_for_are_changed(workshop: Workshop):
    before = workshop.encoder(planted_experiment())
    after = trainer(workshop, layer=1, steps=2, loss="triplet").encoder
    assert not any(isinstance(module, LoraLayer) for module in after.modules())
    weights = dict(before.named_parameters())
    assert {name: one.requires_grad for name, one in after.named_parameters()} == {
        name: one.requires_grad for name, one in weights.items()
    }
    changed = {name for name, one in after.named_parameters() if not torch.equal(one, weights[name])}
    assert changed == {f"body.encoder.layer.0.attention.self.{name}.weight" for name in ("query", "value")}


def test_the_layer_is_the_one_where_translations_stand_out():
    alignment = [
        {"cosine": 0.99, "cosine_of_others": 0.2, "found": 1.0},  # the embedding has no attention
        {"cosine": 0.99, "cosine_of_others": 0.98, "found": 0.1},
        {"cosine": 0.80, "cosine_of_others": 0.30, "found": 0.9},
        {"cosine": 0.60, "cosine_of_others": 0.40, "found": 0.5},
    ]
    assert best_layer(alignment) == 2


def test_a_layer_that_is_not_there_is_refused_by_its_place_in_the_file(workshop: Workshop):
    with pytest.raises(UserError, match=r"arms\.lexical-injection\.layer: the model has no such layer(.|\n)*1 to 2"):
        trainer(workshop, layer=3)
    with pytest.raises(UserError, match="no projections of queries and values"):
        projections_up_to(torch.nn.LSTM(2, 2), 1)


@pytest.mark.parametrize(
    ("arm", "path", "problem"),
    [
        ({"layer": 3}, "layer", "the model has no such layer"),
        ({"batch_size": 1000}, "batch_size", "a batch is larger than the word pairs"),
        ({"dictionary": "few.parquet"}, "languages", "too few words to hold any out"),
        ({"languages": ["yy"]}, "languages", "language not in the dictionary"),
        ({"dictionary": "none.parquet"}, "dictionary", "there is no dictionary here"),
    ],
)
def test_what_cannot_be_learnt_is_refused_by_plan_and_by_the_trial(
    workshop: Workshop, arm: dict[str, Any], path: str, problem: str
):
    whole = pq.read_table(workshop.location.root / "dictionary.parquet")
    pq.write_table(whole.slice(0, 9), workshop.location.root / "few.parquet")
    made = planted_experiment({"arms.lexical-injection": {**ARM, **arm}, "search.baselines": {}})
    for refused in (lambda: check_study(made, workshop.location), lambda: trainer(workshop, **arm)):
        with pytest.raises(UserError, match=problem) as caught:
            refused()
        assert caught.value.path == f"arms.lexical-injection.{path}"


def test_laser_has_no_attention(workshop: Workshop):
    backbone = {"kind": "laser", "folder": str(small_laser())}
    made = planted_experiment({"backbone": backbone, "arms.lexical-injection": ARM, "search.baselines": {}})
    with pytest.raises(UserError, match=r"arms\.lexical-injection: the attention of this encoder has no projections"):
        check_study(made, workshop.location)


def test_held_out_words_are_not_trained_on_in_any_language(tmp_path: Path):
    words = [(f"w{number}", language, f"{language}{number}") for number in range(50) for language in ("de", "fr")]
    columns = [list(column) for column in zip(*words[:-1], strict=True)]
    table = pa.table([*columns, ["made"] * 99], names=["english", "language", "word", "source"])
    pq.write_table(table, tmp_path / "words.parquet")
    train, held_out = word_pairs(tmp_path / "words.parquet", ("de", "fr"), most=30, held_out=4, seed=1)
    assert not {pair.english for pair in train} & {pair.english for pair in held_out}
    assert [sum(pair.language == one for pair in train) for one in ("de", "fr")] == [30, 30]
    assert len(held_out) in (7, 8)
    assert all(pair.word == pair.language + pair.english[1:] for pair in train + held_out)
    assert np.unique([pair.english for pair in held_out]).size == 4
    with pytest.raises(UserError, match="language not in the dictionary"):
        languages_of(tmp_path / "words.parquet", ["es"])
