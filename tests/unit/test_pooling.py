"""One vector from the states of a text's tokens, by hand."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from hybridbatch.backbones.backbone import PoolingName
from hybridbatch.backbones.encoders.text_encoder import pool

STATES_BTH = torch.tensor(
    [[[1.0, -8.0], [2.0, -4.0], [6.0, -6.0], [9.0, 9.0]], [[5.0, 1.0], [7.0, 3.0], [0.0, 0.0], [0.0, 0.0]]]
)
MASK_BT = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
POOLED: dict[str, list[list[float]]] = {
    "mean": [[3.0, -6.0], [6.0, 2.0]],
    "max": [[6.0, -4.0], [7.0, 3.0]],
    "cls": [[1.0, -8.0], [5.0, 1.0]],
    "last": [[6.0, -6.0], [7.0, 3.0]],
}


@pytest.mark.parametrize("pooling", get_args(PoolingName))
def test_padding_says_nothing(pooling: PoolingName):
    assert pool(STATES_BTH, MASK_BT, pooling).tolist() == POOLED[pooling]


@pytest.mark.parametrize("pooling", get_args(PoolingName))
def test_mean_and_max_pass_over_tokens_that_do_not_count(pooling: PoolingName):
    uncounted_BT = torch.tensor([[True, False, False, False], [False, True, False, False]])
    without = {"mean": [[4.0, -5.0], [5.0, 1.0]], "max": [[6.0, -4.0], [5.0, 1.0]]}
    assert pool(STATES_BTH, MASK_BT, pooling, uncounted_BT).tolist() == {**POOLED, **without}[pooling]
