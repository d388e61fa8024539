"""Embeddings of all workers, with a gradient that flows back to each of them."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, distributed


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, local_BD: Tensor, workers: int) -> Tensor:
        context.rows = local_BD.shape[0]
        parts = [torch.empty_like(local_BD) for _ in range(workers)]
        distributed.all_gather(parts, local_BD.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # Every worker's loss depends on this worker's embeddings: their gradients are summed.
        (gradient_GD,) = gradients
        gradient_GD = gradient_GD.contiguous().clone()
        distributed.all_reduce(gradient_GD)
        start = distributed.get_rank() * context.rows
        return gradient_GD[start : start + context.rows], None


def gather_with_gradient(local_BD: Tensor, workers: int) -> Tensor:
    """Return the rows of all workers in order of rank, [workers * B, D]; with one worker the tensor itself."""
    return local_BD if workers == 1 else cast(Tensor, _Gather.apply(local_BD, workers))  # type: ignore[no-untyped-call]
