"""The same gradients whatever part of a batch goes through the encoder at a time, also when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from tests.made_texts import texts_of
from torch import Tensor, nn

from hybridbatch.foundation.errors import TrialError
from hybridbatch.training.embedding_gradients import EmbeddingGradients
from hybridbatch.training.losses import info_nce
from hybridbatch.training.text_passes import parts_of, text_passes

LENGTHS = (3, 9, 1, 7, 7, 2, 5, 4, 6, 8)
PAIRS = len(LENGTHS) // 2


class Encoder(nn.Module):
    """Means of token vectors through a layer with dropout; it refuses passes of more than ``room`` tokens."""

    def __init__(self, dropout: float = 0.0, room: int | None = None) -> None:
        super().__init__()
        self.tokens, self.layer = nn.Embedding(100, 8), nn.Linear(8, 6)
        self.dropout, self.room = nn.Dropout(dropout), room
        self.seen: list[tuple[int, bool]] = []

    def forward(self, ids_BT: Tensor, mask_BT: Tensor, packing: None = None) -> Tensor:
        if self.room is not None and ids_BT.numel() > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.seen.append((len(ids_BT), torch.is_grad_enabled()))
        mask_BT1 = mask_BT[:, :, None]
        mean_BH = (self.dropout(self.tokens(ids_BT)) * mask_BT1).sum(1) / mask_BT1.sum(1)
        return nn.functional.normalize(torch.tanh(self.layer(mean_BH)), dim=-1)


def encoder(**settings: float) -> Encoder:
    torch.manual_seed(1)
    return Encoder(**settings)


def loss_of(embeddings_RD: Tensor) -> Tensor:
    temperature = torch.tensor(0.3)
    return info_nce(embeddings_RD[:PAIRS], embeddings_RD[PAIRS:], temperature, both_directions=True)


def gradients(
    model: Encoder, most_tokens: int | None, *, pass_tokens: int = 12, loss: Callable[[Tensor], Tensor] = loss_of
) -> tuple[float, list[Tensor], EmbeddingGradients]:
    engine = EmbeddingGradients(model, list(model.parameters()), computing=nullcontext, most_tokens=most_tokens)
    value = engine.backward(text_passes(texts_of(LENGTHS), pass_tokens, packed=False), loss, torch.manual_seed)
    return float(value), [parameter.grad for parameter in model.parameters()], engine


def test_parts_give_the_loss_and_the_gradients_of_the_whole_batch_in_one_pass():
    model = encoder()
    whole = model(*(torch.from_numpy(one) for one in texts_of(LENGTHS).padded(np.arange(len(LENGTHS)))))
    expected = loss_of(whole)
    expected.backward()
    for most_tokens in (None, 1, 12, 20, 36, 1000):
        value, found, _ = gradients(encoder(), most_tokens)
        assert value == pytest.approx(expected.item(), rel=1e-6)
        for gradient, parameter in zip(found, model.parameters(), strict=True):
            assert (gradient - parameter.grad).abs().max() < 1e-6


@pytest.mark.parametrize("most_tokens", [12, 24, 48])
def test_dropout_is_the_same_whether_parts_wait_or_not(most_tokens: int):
    value, found, _ = gradients(encoder(dropout=0.5), most_tokens)
    expected_value, expected, _ = gradients(encoder(dropout=0.5), None)
    assert value == pytest.approx(expected_value, rel=1e-6)
    assert all((one - other).abs().max() < 1e-6 for one, other in zip(found, expected, strict=True))
    other_value, *_ = gradients(encoder(), None)
    assert abs(other_value - expected_value) > 1e-3, "dropout does something"


def test_a_batch_that_fits_is_encoded_once_and_a_last_part_is_not_encoded_again():
    whole, parts = encoder(), encoder()
    gradients(whole, None)
    gradients(parts, 24)
    passes = text_passes(texts_of(LENGTHS), 12, packed=False)
    assert [kept for _, kept in whole.seen] == [True] * len(passes)
    sizes = [len(part) for part in parts_of(passes, 24)]
    assert len(sizes) > 2
    assert [kept for _, kept in parts.seen].count(False) == sum(sizes[:-1])
    assert [kept for _, kept in parts.seen].count(True) == sum(sizes)


@pytest.mark.parametrize("room", [9, 10, 25])
def test_what_does_not_fit_is_halved_until_it_does_and_the_step_is_the_same(room: int):
    tight = encoder(room=room)
    value, found, engine = gradients(tight, None, pass_tokens=40)
    expected_value, expected, untouched = gradients(encoder(), None)
    assert value == pytest.approx(expected_value, rel=1e-6)
    assert all((one - other).abs().max() < 1e-6 for one, other in zip(found, expected, strict=True))
    assert engine.most_tokens is not None
    assert engine.most_tokens <= room
    assert untouched.most_tokens is None


def test_memory_that_runs_out_on_the_way_back_is_made_up_for_without_the_loss_being_taken_again():
    model, taken = encoder(), []

    def loss(embeddings_RD: Tensor) -> Tensor:
        taken.append(1)
        model.room = 20  # from here on
        return loss_of(embeddings_RD)

    value, found, engine = gradients(model, 30, pass_tokens=30, loss=loss)
    expected_value, expected, _ = gradients(encoder(), None)
    assert value == pytest.approx(expected_value, rel=1e-6)
    assert all((one - other).abs().max() < 1e-6 for one, other in zip(found, expected, strict=True))
    assert (len(taken), engine.most_tokens) == (1, 14), "half of the largest part, 4 texts of 7 tokens"


def test_a_text_that_does_not_fit_by_itself_fails_the_trial_with_a_remedy():
    with pytest.raises(TrialError, match=r"not even one text fits(.|\n)*Tried to allocate(.|\n)*passage_tokens"):
        gradients(encoder(room=5), None)


def test_another_error_is_not_taken_for_a_lack_of_memory():
    def loss(embeddings_RD: Tensor) -> Tensor:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        gradients(encoder(), None, loss=loss)
