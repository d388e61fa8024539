"""The module that is trained: one encoder for questions and passages, and the temperature."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_LOWEST_TEMPERATURE = 0.01  # of a learnt one: CLIP multiplies its scores by 100 at most, or training gets unstable


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
        self._lowest = math.log(min(temperature, _LOWEST_TEMPERATURE))

    @property
    def temperature(self) -> Tensor:
        """What scores are divided by, a scalar tensor."""
        return self.log_temperature.exp()

    @torch.no_grad()
    def bound_temperature(self) -> None:
        """Bring a learnt temperature back to 0.01, or to where it started if that is lower, after a step below it."""
        if self.log_temperature.requires_grad:
            self.log_temperature.clamp_(min=self._lowest)
