"""Masked language models from folders as they are published, and their label words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.planted_parc import WORDS, write_language_model, write_tokenizer
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    MobileBertConfig,
    MobileBertForMaskedLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from hybridbatch.backbones.encoders.masked_language_model import LabelWordScorer, load_masked_language_model
from hybridbatch.foundation.errors import UserError

pytestmark = pytest.mark.usefixtures("one_torch_thread")

WORD_IDS = (5, 6, 7)
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
IDS_BT = torch.tensor([[2, 6, 1, 4, 1, 3], [2, 4, 1, 7, 3, 0]])
MASK_BT = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]])


def write(folder: Path, network: Any) -> Path:
    with torch.no_grad():
        for parameter in network.parameters():  # with biases that are not 0
            torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    return folder


def made(kind: Any, config: Any) -> Callable[[Path], Path]:
    def into(folder: Path) -> Path:
        torch.manual_seed(0)
        return write(folder, kind(config))

    return into


BERT = made(BertForMaskedLM, BertConfig(vocab_size=8, max_position_embeddings=32, **SMALL))
OTHERS = {
    "bert": BERT,
    "bert with a wider embedding": made(BertForMaskedLM, BertConfig(vocab_size=16, **SMALL)),
    "xlm-r": made(XLMRobertaForMaskedLM, XLMRobertaConfig(vocab_size=8, pad_token_id=0, **SMALL)),
    "distilbert": made(
        DistilBertForMaskedLM, DistilBertConfig(vocab_size=8, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    ),
    "deberta": made(DebertaV2ForMaskedLM, DebertaV2Config(vocab_size=8, **SMALL)),
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_logits_of_label_words_are_those_of_the_whole_model(name: str, tmp_path: Path) -> None:
    model = load_masked_language_model(str(OTHERS[name](tmp_path)))
    with torch.inference_mode():
        whole_BTV = model.network(input_ids=IDS_BT, attention_mask=MASK_BT).logits
        expected_BC = torch.stack([whole_BTV[0, 3], whole_BTV[1, 1]])[:, list(WORD_IDS)]
        found_BC = LabelWordScorer(model, WORD_IDS).eval()(IDS_BT, MASK_BT)
    assert found_BC.shape == (2, 3)
    assert torch.allclose(found_BC, expected_BC, atol=1e-5)


def test_weights_under_the_names_of_published_files(tmp_path: Path) -> None:
    """BERT's files name normalisations gamma and beta, hold a pooler and a second head, and no copy of tied weights."""
    folder = BERT(tmp_path)
    before = load_masked_language_model(str(folder))
    file = folder / "model.safetensors"
    tensors = load_file(file)
    published = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
        if "decoder" not in name
    }
    for name, shape in {
        "bert.pooler.dense.weight": (16, 16), "bert.pooler.dense.bias": (16,),
        "cls.seq_relationship.weight": (2, 16), "cls.seq_relationship.bias": (2,),
    }.items():  # fmt: skip
        published[name] = torch.zeros(shape)
    save_file(published, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {key: value for key, value in config.items() if key in {*SMALL, "vocab_size", "max_position_embeddings"}}
    config = {"architectures": ["BertForMaskedLM"], "model_type": "bert", **kept, "type_vocab_size": 2}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    after = load_masked_language_model(str(folder))
    with torch.inference_mode():
        logits = [one.network(input_ids=IDS_BT, attention_mask=MASK_BT).logits for one in (before, after)]
    assert torch.equal(*logits)
    assert after.longest == 32


def test_positions_that_are_counted_from_the_padding(tmp_path: Path) -> None:
    config = XLMRobertaConfig(vocab_size=8, max_position_embeddings=34, pad_token_id=0, **SMALL)
    folder = made(XLMRobertaForMaskedLM, config)(tmp_path)
    assert load_masked_language_model(str(folder)).longest == 33


def test_a_retriever_is_no_masked_language_model(tmp_path: Path) -> None:
    folder = BERT(tmp_path)
    BertForMaskedLM.from_pretrained(folder).bert.save_pretrained(folder)
    with pytest.raises(UserError, match="not the weights of a masked language model") as caught:
        load_masked_language_model(str(folder))
    assert "retrievers are kept without that head" in str(caught.value.remedy)


def test_a_tokenizer_without_a_mask_is_refused(tmp_path: Path) -> None:
    folder = BERT(tmp_path)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    del config["mask_token"]
    file.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match="the tokenizer has no mask token"):
        load_masked_language_model(str(folder))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = BERT(tmp_path)
    write_tokenizer(folder, (*WORDS, "more"))
    with pytest.raises(UserError, match="the tokenizer does not match the weights"):
        load_masked_language_model(str(folder))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded"):
        load_masked_language_model(str(tmp_path))
    folder = BERT(tmp_path / "gpt")
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    with pytest.raises(UserError, match="the masked language model cannot be loaded"):
        load_masked_language_model(str(folder))


def test_a_head_that_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    config = MobileBertConfig(vocab_size=8, embedding_size=8, **SMALL)
    model = load_masked_language_model(str(made(MobileBertForMaskedLM, config)(tmp_path)))
    with pytest.raises(UserError, match="head of this masked language model is not supported") as caught:
        LabelWordScorer(model, WORD_IDS)
    assert caught.value.seen == "MobileBertForMaskedLM"


def test_the_planted_model_says_the_word_that_it_finds(tmp_path: Path) -> None:
    model = load_masked_language_model(str(write_language_model(tmp_path)))
    scorer = LabelWordScorer(replace(model), WORD_IDS).eval()
    with torch.inference_mode():
        assert scorer(IDS_BT, MASK_BT).argmax(dim=1).tolist() == [1, 2]
