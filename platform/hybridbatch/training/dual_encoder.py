"""The module that is trained: one encoder for questions and passages, and the temperature."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class DualEncoder(nn.Module):
    """A dual encoder with shared weights.

    Args:
        encoder: Token ids and mask to embeddings of unit length.
        temperature: What the scores are divided by.
        learn_temperature: Whether it is trained (its logarithm, as in CLIP, arXiv 2103.00020).
    """

    def __init__(self, encoder: nn.Module, temperature: float, learn_temperature: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)), requires_grad=learn_temperature)

    @property
    def temperature(self) -> Tensor:
        """What scores are divided by, a scalar tensor."""
        return self.log_temperature.exp()
