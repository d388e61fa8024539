"""AdamW and its learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.spec.experiment import Training
from hybridbatch.training.dual_encoder import DualEncoder
from hybridbatch.training.layers import layers_of


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


def set_learning_rates(optimizer: torch.optim.Optimizer, step: int, settings: Training) -> None:
    """Give every group of parameters its learning rate of ``step``: its share of the schedule's."""
    rate = learning_rate(step, settings)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def make_optimizer(model: nn.Module, settings: Training) -> torch.optim.AdamW:
    """Return AdamW (arXiv 1711.05101) in which biases, norms and single numbers do not decay.

    With ``layer_decay`` d, layer k of n has the share d^(n - k) of the learning rate, the embeddings d^n, and what
    comes after the layers all of it (discriminative fine-tuning, arXiv 1801.06146). Groups have names, and their shares
    under ``share``. A checkpoint holds neither rates nor shares: they follow from the settings.
    """
    share_of = _shares(model, settings)
    groups: dict[tuple[bool, float], dict[str, Any]] = {}
    for decays in (True, False):  # a checkpoint numbers parameters in this order
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad or (parameter.ndim > 1) is not decays:
                continue
            share = share_of(name)
            group = groups.setdefault((decays, share), {"params": [], "share": share})
            group["params"].append(parameter)
            group["weight_decay"] = settings.weight_decay if decays else 0.0
            group["name"] = f"{share:g} of the rate, {'decaying' if decays else 'not decaying'}"
    return torch.optim.AdamW(list(groups.values()), lr=settings.learning_rate, fused=True)


def _shares(model: nn.Module, settings: Training) -> Callable[[str], float]:
    """Return what says which share of the learning rate a parameter gets, by its name."""
    if settings.layer_decay == 1:
        return lambda name: 1.0
    if not isinstance(model, DualEncoder):
        raise TypeError("only an encoder that is fine-tuned has rates by layer")
    layers = layers_of(cast(TextEncoder, model.encoder).body)

    def share(name: str) -> float:
        in_encoder = name.removeprefix("encoder.")
        depth = layers.depth(in_encoder) if in_encoder != name else layers.count + 1
        return float(settings.layer_decay ** max(0, layers.count - depth))

    return share
