"""What trials share: one copy of pretrained weights, found from wherever a worker runs, with room for the texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.small_study import experiment
from tests.tiny_trial import make_trainer, make_workshop, run
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel, XLMRobertaConfig, XLMRobertaModel

from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.encoders.text_encoder import TextEncoder, most_tokens
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.experiment import Experiment
from hybridbatch.training.workshop import Workshop

SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workshop with the pretrained models ``bert``, ``mpnet`` and ``xlm-roberta`` below its data folder."""
    made = make_workshop(tmp_path_factory.mktemp("workshop"))
    tokenizer, _ = made.tokenizer(experiment())
    shape = {**SHAPE, "vocab_size": len(tokenizer), "max_position_embeddings": 34}
    bodies = {
        "bert": BertModel(BertConfig(**shape), add_pooling_layer=False),
        "mpnet": MPNetModel(MPNetConfig(**shape), add_pooling_layer=False),
        "xlm-roberta": XLMRobertaModel(XLMRobertaConfig(**shape), add_pooling_layer=False),
    }
    for name, body in bodies.items():
        save_encoder(TextEncoder(body, "mean"), tokenizer, {}, made.location.root / "models" / name)
    return made


def pretrained(name: str = "models/bert", **changes: Any) -> Experiment:
    backbone = {"kind": "huggingface", "name": name, "question_tokens": 24, "passage_tokens": 24}
    return experiment({"backbone": backbone, **changes})


def test_a_relative_model_folder_is_found_below_the_data_folder_from_anywhere(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = {"kind": "huggingface", "name": "models/bert", "question_tokens": 24, "passage_tokens": 24}
    result = run(workshop, tmp_path / "trial", {"backbone": settings, "training.steps": 2})
    assert (result.state, result.reason) == ("complete", None)


def test_a_model_folder_that_only_the_driver_would_find_is_refused(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"backbone\.name: a relative model folder starts from the data folder"):
        workshop.encoder(pretrained("mine"))


def test_pretrained_weights_are_kept_once_for_all_seeds(tmp_path: Path, workshop: Workshop):
    fresh = Workshop(workshop.location)
    first, second = (fresh.encoder(pretrained(**{"training.seed": seed})) for seed in (1, 2))
    assert len(fresh._kept["encoder"]) == 1
    assert first is not second
    assert all(torch.equal(one, second.state_dict()[name]) for name, one in first.state_dict().items())


def test_weights_that_a_pretrained_folder_lacks_do_not_depend_on_which_seed_came_first(workshop: Workshop):
    poolers = []
    for seed in (1, 2):
        encoder = Workshop(workshop.location).encoder(pretrained(**{"training.seed": seed}))
        poolers.append(encoder.get_parameter("body.pooler.dense.weight"))
    assert torch.equal(*poolers)


def test_random_weights_follow_the_seed(workshop: Workshop):
    first, second = (workshop.encoder(experiment({"training.seed": seed})) for seed in (1, 2))
    assert not all(torch.equal(one, second.state_dict()[name]) for name, one in first.state_dict().items())


@pytest.mark.parametrize(("name", "most"), [("bert", 34), ("mpnet", 32), ("xlm-roberta", 32)])
@pytest.mark.parametrize("side", ["question_tokens", "passage_tokens"])
def test_texts_longer_than_the_model_has_positions_for_are_refused(workshop: Workshop, name: str, most: int, side: str):
    made = pretrained(f"models/{name}")
    encoder = workshop.encoder(made)
    ids_BT, longer_BT = (torch.full((1, length), 7) for length in (most, most + 1))
    assert encoder(ids_BT, torch.ones_like(ids_BT)).isfinite().all(), "as long as that it may be"
    with pytest.raises((IndexError, RuntimeError)):
        encoder(longer_BT, torch.ones_like(longer_BT))
    backbone = {**made.backbone.model_dump(), side: most + 1}
    with pytest.raises(UserError) as caught:
        make_trainer(workshop, {"backbone": backbone})
    assert str(caught.value).startswith(f"backbone.{side}: ")
    assert f"seen:    {most + 1}\n  allowed: at most {most}" in str(caught.value)
    make_trainer(workshop, {"backbone": {**backbone, side: most}})


def test_a_model_without_learnt_positions_has_no_longest_text():
    assert most_tokens(torch.nn.Linear(2, 2)) is None
