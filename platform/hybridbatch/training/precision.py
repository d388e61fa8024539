"""What an encoder computes in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from hybridbatch.spec.experiment import Training


def computing(settings: Training, device: str) -> AbstractContextManager[Any]:
    """Return what the encoder computes in: float32, or bfloat16 with weights and sums in float32."""
    if settings.precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)
