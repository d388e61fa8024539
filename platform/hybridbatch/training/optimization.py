"""AdamW and its learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from hybridbatch.spec.experiment import Training


def learning_rate(step: int, settings: Training) -> float:
    """Return the learning rate of ``step`` (from 0): linear warm-up, then the schedule, 0 after the last step."""
    warmup = round(settings.warmup * settings.steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - warmup) / max(1, settings.steps - warmup)
    factor = 1 - done if settings.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return settings.learning_rate * factor


def make_optimizer(model: nn.Module, settings: Training) -> torch.optim.AdamW:
    """Return AdamW (arXiv 1711.05101) in which biases, norms and single numbers do not decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trained if one.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, fused=True)
