"""Masks that follow from seed, step and text; batches of texts and of translations; the head; the shifted domain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.made_texts import texts_of
from tests.published_laser import small_laser
from tests.published_models import PublishedModels
from tests.shifted_domain import shifted_experiment, write_domains
from tests.small_study import experiment
from tests.tiny_trial import make_trainer, make_workshop
from torch import nn
from torch.nn import functional

from hybridbatch.backbones.backbone import TrainingText
from hybridbatch.backbones.huggingface import HuggingFaceBackbone
from hybridbatch.evaluation.measure import measure
from hybridbatch.evaluation.token_store import tokenized_in_memory
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import BACKBONES
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.losses import Shard
from hybridbatch.training.mask_token import mask_id, opening_ids, special_ids
from hybridbatch.training.masked_language import UNMASKED, MaskedLanguageHead, Masking, take_over_published_head
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.unlabelled_text import TextBatches, TranslationBatches
from hybridbatch.training.workshop import Workshop

MASK = 3
MASKING = Masking(probability=0.15, mask_id=MASK, special_ids=(1, 2, MASK), vocabulary=40_000, seed=7)


def test_what_is_masked_how_often_and_how():
    texts = texts_of([400] * 80)  # ids 1 to 32 000, each once
    masked, labels = MASKING.masked(texts, step=0)
    places = labels.ids != UNMASKED
    assert np.array_equal(labels.ids[places], texts.ids[places])
    assert np.array_equal(masked.ids[~places], texts.ids[~places])
    assert not places[:3].any(), "special tokens stay"
    assert places.mean() == pytest.approx(0.15, abs=0.01)
    now = masked.ids[places]
    kept = now == texts.ids[places]
    assert (now == MASK).mean() == pytest.approx(0.8, abs=0.03)
    assert kept.mean() == pytest.approx(0.1, abs=0.02)
    others = now[~kept & (now != MASK)]
    assert not np.isin(others, (1, 2)).any()
    assert np.median(others) == pytest.approx(20_000, rel=0.1), "any token"


def test_masks_follow_from_the_text_and_the_step_not_from_the_batch():
    texts = texts_of([5, 40, 60])
    (whole, _), (alone, _) = MASKING.masked(texts, 4), MASKING.masked(texts.chosen(np.array([2])), 4)
    assert np.array_equal(whole.ids[45:], alone.ids)
    assert not np.array_equal(MASKING.masked(texts, 5)[0].ids, whole.ids)


def test_an_epoch_has_every_text_once_and_the_next_one_another_order():
    stores = [texts_of([2] * 5), texts_of([2] * 3)]
    batches = TextBatches(stores, size=4, seed=1)
    orders = []
    for epoch in range(2):
        found = [batches.batch(2 * epoch + half) for half in range(2)]
        firsts = sorted(int(one.ids[start]) for one in found for start in one.offsets[:-1])
        assert firsts == sorted([1, 3, 5, 7, 9, 1, 3, 5])
        orders.append([one.ids.tolist() for one in found])
    assert orders[0] != orders[1]
    assert batches.batch(1).ids.tolist() == orders[0][1], "the same again"


def test_a_pair_is_a_text_and_a_translation_of_it_under_one_opening_token():
    # three items in two languages and one that has none; every text is opened by token 99
    ids = np.array([99, 10, 98, 99, 11, 98, 99, 20, 98, 99, 21, 98, 99, 30, 98, 99, 31, 98, 99, 40, 98], dtype=np.int32)
    store = texts_of([3] * 7)
    store.ids[:] = ids
    row_IL = np.array([[0, 1], [2, 3], [4, 5], [6, -1]])
    batches = TranslationBatches([store], [row_IL], size=3, seed=0, opening_ids=[99])
    seen = set()
    for step in range(20):
        pairs = batches.batch(step)
        assert pairs.lengths_R.tolist() == [5, 5, 5]
        rows = pairs.ids.reshape(3, 5)
        assert (rows[:, 0] == 99).all()
        assert (rows[:, [2, 4]] == 98).all()
        assert sorted(rows[:, 1] // 10) == [1, 2, 3], "each item once"
        assert (rows[:, 1] // 10 == rows[:, 3] // 10).all()
        assert (rows[:, 1] != rows[:, 3]).all()
        seen |= {int(one) for one in rows[:, 1]}
    assert seen == {10, 11, 20, 21, 30, 31}, "either language comes first"


@pytest.mark.parametrize("kind", ["mbart", "xlm-r"])
def test_what_opens_a_text_is_left_out_and_a_code_that_says_its_language_is_not(
    published: PublishedModels, kind: str, tmp_path: Path
):
    tokenizer = BACKBONES.get(kind)(kind=kind, name=str(published(kind))).tokenizer(TrainingText("", tuple, tmp_path))
    store = tokenized_in_memory(["a", "b"], tokenizer, prefix="", longest=8, languages=["en", "de"])
    opened_by = {int(store.ids[start]) for start in store.offsets[:-1]}
    assert opened_by <= set(special_ids(tokenizer))
    assert opening_ids([store], tokenizer) == ([] if kind == "mbart" else sorted(opened_by))
    assert len(opened_by) == (2 if kind == "mbart" else 1), "mBART-50 opens a text with the code of its language"


def test_the_loss_of_the_head_is_that_of_all_logits_at_once():
    torch.manual_seed(0)
    embedding = nn.Embedding(50, 6)
    head = MaskedLanguageHead(embedding, width=8)
    states, labels = torch.randn(1300, 8, requires_grad=True), torch.randint(50, (1300,))
    logits = functional.linear(head.norm(functional.gelu(head.dense(states))), embedding.weight, head.bias)
    whole = functional.cross_entropy(logits, labels, reduction="sum")
    expected = torch.autograd.grad(whole, [states, embedding.weight])
    found = head.loss_sum(states, labels)
    assert found.item() == pytest.approx(whole.item(), rel=1e-5)
    for one, other in zip(torch.autograd.grad(found, [states, embedding.weight]), expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert not any("embedding" in name for name, _ in head.named_parameters()), "it stays the encoder's"


@pytest.mark.parametrize("kind", ["xlm-r", "mbert"])
def test_a_pretrained_head_says_what_the_published_model_says(kind: str, published: PublishedModels, tmp_path: Path):
    from transformers import AutoModelForMaskedLM

    backbone = HuggingFaceBackbone(kind="huggingface", name=str(published(kind)), dropout=0.0)
    tokenizer = backbone.tokenizer(TrainingText("", tuple, tmp_path))
    body = backbone.encoder(tokenizer).body.eval()
    head = MaskedLanguageHead(body.get_input_embeddings(), body.config.hidden_size, body.config.layer_norm_eps)
    assert take_over_published_head(head, backbone.transformer_folder(), kind)
    ids = torch.tensor([tokenizer("Where is the tower?")["input_ids"]])
    logits = AutoModelForMaskedLM.from_pretrained(backbone.transformer_folder()).eval()(ids).logits[0]
    labels = ids[0].roll(1)
    with torch.no_grad():
        states = body(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        found = head.loss_sum(states, labels)
    assert found.item() == pytest.approx(functional.cross_entropy(logits, labels, reduction="sum").item(), rel=1e-5)
    assert mask_id(tokenizer, trained_here=False) == tokenizer.mask_token_id
    assert set(tokenizer.all_special_ids) == set(special_ids(tokenizer))


def test_reading_text_of_a_shifted_domain_helps_there(tmp_path: Path):
    workshop = Workshop(DataLocation(write_domains(tmp_path / "data"), tmp_path / "cache"))
    text = [{"dataset": "parallel-pairs", "path": "unlabelled.csv"}]
    arm = {"text": text, "steps": 150, "batch_size": 32, "masking": 0.3, "learning_rate": 0.01}
    found = [in_shifted_domain(workshop, changes) for changes in ({}, {"arms.domain-adaptation": arm})]
    assert found[0] < 0.3, "without the text its words say nothing"
    assert found[1] > found[0] + 0.4


def in_shifted_domain(workshop: Workshop, changes: dict[str, Any]) -> float:
    made = shifted_experiment(changes)
    trainer = Trainer(made, workshop, Shard(), "cpu")
    trainer.train_until(made.training.steps, lambda point: None)
    measured = measure(trainer.encoder, workshop.task_tokens(made, workshop.data(made.data).selection))
    assert measured is not None
    return measured[0].summary["map_mono"]


def test_texts_and_their_translations_are_read_together(tmp_path: Path):
    workshop = make_workshop(tmp_path)
    arm = {"text": [{"dataset": "parallel-pairs", "path": "small.csv"}], "steps": 3, "batch_size": 8}
    stages = [
        make_trainer(workshop, {"arms.domain-adaptation": {**arm, "objective": objective}}).stages[0]
        for objective in ("mlm", "tlm", "tlm")
    ]
    assert stages[0].outcome != stages[1].outcome == stages[2].outcome
    assert [one.from_cache for one in stages] == [False, False, True]


def test_a_pretrained_backbone_without_a_mask_is_refused_and_scratch_masks_with_its_unknown_token(tmp_path: Path):
    laser = BACKBONES.get("laser")(kind="laser", folder=str(small_laser())).tokenizer(TrainingText("", tuple, tmp_path))
    with pytest.raises(UserError, match="has no mask token"):
        mask_id(laser, trained_here=False)
    workshop = make_workshop(tmp_path)
    scratch, _ = workshop.tokenizer(experiment())
    assert mask_id(scratch, trained_here=True) == scratch.unk_token_id != scratch.pad_token_id
