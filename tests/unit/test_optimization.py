"""The learning rate by hand, and what decays."""

from __future__ import annotations

import pytest
import torch

from hybridbatch.spec.experiment import Training
from hybridbatch.training.dual_encoder import DualEncoder
from hybridbatch.training.optimization import learning_rate, make_optimizer


def rates(**settings: object) -> list[float]:
    made = Training(learning_rate=1.0, **settings)
    return [learning_rate(step, made) for step in range(made.steps)]


def test_the_rate_rises_in_equal_steps_and_falls_to_nothing_after_the_last():
    assert rates(steps=10, warmup=0.4, schedule="linear") == pytest.approx(
        [1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    )


def test_a_cosine_falls_slowly_at_both_ends():
    expected = [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]
    assert rates(steps=4, warmup=0.0, schedule="cosine") == pytest.approx(expected)


def test_a_constant_rate_stays():
    assert rates(steps=4, warmup=0.5, schedule="constant") == [0.5, 1, 1, 1]
    assert rates(steps=3, warmup=0.0, schedule="constant") == [1, 1, 1]
    assert rates(steps=2, warmup=1.0, schedule="linear") == [0.5, 1]


def test_matrices_decay_and_biases_norms_and_the_temperature_do_not():
    encoder = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2), torch.nn.Embedding(4, 2))
    for learn in (True, False):
        model = DualEncoder(encoder, 0.05, learn_temperature=learn)
        decaying, others = make_optimizer(model, Training(weight_decay=0.3)).param_groups
        assert {tuple(one.shape) for one in decaying["params"]} == {(2, 3), (4, 2)}
        assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
        assert len(others["params"]) == 3 + learn
