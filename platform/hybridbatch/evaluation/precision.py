"""Encoding in fewer bits than float32; scores are float32 whatever the precision of the encoder."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["fp32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")


def in_precision(encoder: nn.Module, precision: Precision, device: str) -> nn.Module:
    """Return the encoder as it computes in ``precision``, within :func:`computing`.

    ``bf16`` computes matrix products in bfloat16 (autocast) and keeps the weights; it pays on GPUs and on CPUs with
    instructions for it. ``int8`` quantises the weights of linear layers and LSTMs to 8 bits, and their inputs as they
    come (dynamic quantisation); on CPUs alone.

    Args:
        encoder: Token ids and mask to embeddings, on ``device``; left as it is.
        precision: The precision.
        device: Where the encoder is.

    Raises:
        UserError: If the device cannot compute in that precision.
    """
    if precision == "int8" and not device.startswith("cpu"):
        raise UserError("int8 works on a CPU alone", path="--precision", seen=f"int8 on {device}", allowed="fp32, bf16")
    return _quantised(encoder) if precision == "int8" else encoder


def computing(precision: Precision, device: str) -> AbstractContextManager[object]:
    """Return what a thread that computes in ``precision`` enters; autocast holds for the thread that entered it."""
    import torch

    return torch.autocast(torch.device(device).type, torch.bfloat16) if precision == "bf16" else nullcontext()


def _quantised(encoder: nn.Module) -> nn.Module:
    import torch
    from torch import nn

    # torch announces that this moves to torchao, whose own kernels for a CPU need a compiler at hand
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*quantiz", category=UserWarning)
        from torch.ao.quantization import quantize_dynamic

        quantise: Callable[..., nn.Module] = quantize_dynamic
        return quantise(encoder, {nn.Linear, nn.LSTM}, dtype=torch.qint8)
