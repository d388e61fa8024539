"""Texts without padding, one after the other, give the embeddings and gradients of padded ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.made_texts import texts_of
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

from hybridbatch.backbones.backbone import PoolingName
from hybridbatch.backbones.encoders.packing import Packing
from hybridbatch.backbones.encoders.text_encoder import TextEncoder

LENGTHS = (5, 1, 9, 3, 9)
SHAPE = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
BODIES: dict[str, Any] = {
    "bert": lambda: BertModel(BertConfig(**SHAPE, pad_token_id=0)),
    "xlm-roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**SHAPE, pad_token_id=0, type_vocab_size=1)),
}


def encoder(kind: str, pooling: PoolingName = "mean") -> TextEncoder:
    torch.manual_seed(4)
    return TextEncoder(BODIES[kind](), pooling)


def padded() -> list[torch.Tensor]:
    return [torch.from_numpy(one) for one in texts_of(LENGTHS).padded(np.arange(len(LENGTHS)))]


def packed() -> tuple[torch.Tensor, Packing]:
    texts = texts_of(LENGTHS)
    return torch.from_numpy(texts.ids.astype(np.int64)), Packing(torch.from_numpy(texts.offsets), LENGTHS)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
@pytest.mark.parametrize("kind", BODIES)
def test_embeddings_and_gradients_are_those_of_padded_texts(kind: str, pooling: PoolingName):
    one, other = encoder(kind, pooling), encoder(kind, pooling)
    assert one.can_pack
    one.attend_within_texts()
    ids_N, packing = packed()
    found, expected = one(ids_N, packing=packing), other(*padded())
    assert (found - expected).abs().max() < 1e-6
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(5))
    for embeddings in (found, expected):
        (embeddings * weight).sum().backward()
    compared = 0
    for parameter, same in zip(one.parameters(), other.parameters(), strict=True):
        if same.grad is not None:
            assert (parameter.grad - same.grad).abs().max() < 1e-5
            compared += 1
    assert compared > 20


@pytest.mark.parametrize("kind", BODIES)
def test_padded_texts_give_what_they_gave_before(kind: str):
    one, other = encoder(kind), encoder(kind)
    one.attend_within_texts()
    assert torch.equal(one(*padded()), other(*padded()))


def test_dropout_of_attention_is_drawn_where_texts_are_packed():
    made = encoder("bert")
    made.attend_within_texts()
    for layer in made.body.encoder.layer:
        layer.attention.self.dropout.p = 0.5
    ids_N, packing = packed()
    made.train()
    assert (made(ids_N, packing=packing) - made(ids_N, packing=packing)).abs().max() > 1e-3
    made.eval()
    assert torch.equal(made(ids_N, packing=packing), made(ids_N, packing=packing))


def test_positions_begin_anew_with_every_text():
    packing = Packing(torch.tensor([0, 3, 4, 6]), (3, 1, 2))
    assert packing.positions_N(2).tolist() == [2, 3, 4, 2, 2, 3]
