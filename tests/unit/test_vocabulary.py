"""A trimmed vocabulary: the same embeddings, the same training, and a whole model in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.published_laser import small_laser
from tests.published_models import PublishedModels
from tests.small_study import experiment
from tests.tiny_trial import make_trainer, run
from torch import nn

from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.foundation.errors import UserError
from hybridbatch.training.arm import Arm, check_tokens_are_known
from hybridbatch.training.losses import Shard
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.vocabulary import TrimmedVocabulary, ids_used
from hybridbatch.training.workshop import Workshop

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TRIM = {"training.trim_vocabulary": True}
OF_TRIALS: dict[str, dict[str, Any]] = {"whole": {}, "trimmed": TRIM}
BACKBONES = ["scratch", "xlm-r", "labse", "mbart", "laser"]


def backbone(kind: str, published: PublishedModels) -> dict[str, Any]:
    """Return the change that makes a small backbone of a kind."""
    lengths = {"question_tokens": 24, "passage_tokens": 24}
    if kind == "scratch":
        return {}
    if kind == "laser":
        return {"backbone": {"kind": kind, "folder": str(small_laser()), **lengths}}
    return {"backbone": {"kind": kind, "name": str(published(kind)), **lengths}}


def store(*ids: int, padding: int = 0) -> TokenStore:
    return TokenStore(np.array(ids, np.int32), np.array([0, len(ids)]), np.zeros(1, np.uint64), padding)


def test_the_ids_in_use_are_those_of_all_texts_and_of_the_padding():
    assert ids_used([store(7, 2, 7), store(3, 2, padding=1), store()]).tolist() == [0, 1, 2, 3, 7]
    assert ids_used([]).tolist() == []


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(6, 2, padding_idx=4)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.table


def test_rows_in_use_are_looked_up_trained_and_put_back_by_hand():
    body = Body()
    before = torch.arange(12.0).reshape(6, 2)
    body.table.weight.data = before.clone()
    vocabulary = TrimmedVocabulary(body, np.array([1, 5]))
    assert vocabulary.rows == (3, 6), "the row of the padding stays"
    assert body.table.weight.tolist() == [[2, 3], [8, 9], [10, 11]]
    assert list(body.state_dict()) == ["table.weight"], "checkpoints hold nothing else"
    assert body.table(torch.tensor([[5, 1, 4]])).tolist() == [[[10, 11], [2, 3], [8, 9]]]
    body.table(torch.tensor([1, 4, 5])).sum().backward()
    assert body.table.weight.grad is not None
    assert body.table.weight.grad.tolist() == [[1, 1], [0, 0], [1, 1]], "the padding is not trained"
    with pytest.raises(IndexError):
        body.table(torch.tensor([2]))
    body.table.weight.data += 100
    vocabulary.restore()
    assert body.table.weight.tolist() == [[0, 1], [102, 103], [4, 5], [6, 7], [108, 109], [110, 111]]
    assert body.table(torch.tensor([2, 5])).tolist() == [[4, 5], [110, 111]]
    assert (body.table.num_embeddings, body.table.padding_idx) == (6, 4)
    body.table(torch.tensor([2, 4])).sum().backward()
    assert body.table.weight.grad.nonzero()[:, 0].unique().tolist() == [2], "the padding is where it was"


@pytest.mark.parametrize("kind", BACKBONES)
def test_embeddings_are_the_same_to_the_bit(workshop: Workshop, published: PublishedModels, kind: str):
    change = backbone(kind, published)
    made, trimmed_too = experiment(change), experiment({**change, **TRIM})
    whole, trimmed = workshop.encoder(made), make_trainer(workshop, {**change, **TRIM}).encoder
    used, rows = len(trimmed.body.get_input_embeddings().weight), len(whole.body.get_input_embeddings().weight)
    assert 20 < used < 0.9 * rows
    assert len(workshop.token_ids(trimmed_too)) == used
    for encoder in (whole, trimmed):
        encoder.eval()
    tokens = workshop.task_tokens(made, workshop.data(made.data).report[0])
    with torch.inference_mode():
        for texts in (tokens.questions, tokens.candidates):
            ids_BT, mask_BT = map(torch.from_numpy, texts.padded(np.arange(0, len(texts), 7)))
            assert torch.equal(trimmed(ids_BT, mask_BT), whole(ids_BT, mask_BT))


@pytest.mark.parametrize("kind", BACKBONES)
def test_without_weight_decay_a_trimmed_trial_ends_with_the_model_of_a_whole_one(
    workshop: Workshop, published: PublishedModels, tmp_path: Path, kind: str
):
    change = {**backbone(kind, published), "training.weight_decay": 0.0, "training.learning_rate": 1e-3}
    results = {name: run(workshop, tmp_path / name, {**change, **more}) for name, more in OF_TRIALS.items()}
    assert [one.state for one in results.values()] == ["complete"] * 2
    losses = [[rung.train_loss for rung in one.rungs] for one in results.values()]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    whole, trimmed = (load_file(tmp_path / name / "00000" / "model" / "model.safetensors") for name in OF_TRIALS)
    assert whole.keys() == trimmed.keys()
    for name, weight in whole.items():
        assert weight.shape == trimmed[name].shape
        assert torch.allclose(weight, trimmed[name], atol=1e-6), name


def test_rows_that_no_text_uses_keep_their_weights_where_weight_decay_would_shrink_them(
    workshop: Workshop, tmp_path: Path
):
    tables = {}
    for name, more in OF_TRIALS.items():
        run(workshop, tmp_path / name, {"training.weight_decay": 0.5, **more})
        weights = load_file(tmp_path / name / "00000" / "model" / "model.safetensors")
        tables[name] = weights["embeddings.word_embeddings.weight"]
    made = experiment(TRIM)
    before = workshop.encoder(made).body.get_input_embeddings().weight.detach()
    unused = np.setdiff1d(np.arange(len(before)), workshop.token_ids(made))
    assert torch.equal(tables["trimmed"][unused], before[unused])
    assert (tables["whole"][unused].norm(dim=1) < 0.99 * before[unused].norm(dim=1)).all()


class KeepsToIt(Arm):
    """Adds nothing."""

    description = "Adds nothing."
    keeps_to_the_corpus = True


class Adds(Arm):
    """Adds nothing, but might."""

    description = "Adds nothing, but might."


def test_an_arm_that_may_bring_other_tokens_is_refused(workshop: Workshop):
    made = {
        name: experiment(TRIM).model_copy(update={"arms": [("made-up", arm)]})
        for name, arm in (("adds", Adds()), ("keeps", KeepsToIt()), ("off", None))
    }
    message = r"training\.trim_vocabulary: an arm may need tokens(.|\n)*seen: +'true, with arms\.made-up"
    with pytest.raises(UserError, match=message):
        Trainer(made["adds"], workshop, Shard(), "cpu")
    for name in ("keeps", "off"):
        Trainer(made[name], workshop, Shard(), "cpu")
    check_tokens_are_known(made["adds"].model_copy(update={"training": experiment().training}))


def test_an_encoder_without_a_table_is_refused():
    with pytest.raises(UserError, match=r"training\.trim_vocabulary: this encoder has no table of embeddings"):
        TrimmedVocabulary(nn.Linear(2, 2), np.array([1]))
