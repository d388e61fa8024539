"""What workers exchange: embeddings, with a gradient that flows back to each of them, and gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn

_EXCHANGED_AT_ONCE = 1 << 24  # numbers: enough to keep a network busy, little beside a model


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


def average_gradients(parameters: Iterable[nn.Parameter], workers: int) -> None:
    """Put the mean over workers in place of every gradient; all workers have gradients of the same parameters.

    DistributedDataParallel is of no use here: it exchanges gradients while one graph is walked back, and a step has as
    many graphs as the batch has parts, which may differ between workers.
    """
    if workers == 1:
        return
    together: list[Tensor] = []
    for gradient in (parameter.grad for parameter in parameters if parameter.grad is not None):
        together.append(gradient)
        if sum(one.numel() for one in together) >= _EXCHANGED_AT_ONCE:
            _average(together, workers)
            together = []
    if together:
        _average(together, workers)


def _average(gradients: list[Tensor], workers: int) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= workers
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):  # type: ignore[no-untyped-call]
        gradient.copy_(mean.view_as(gradient))


def copy_from_first(tensors: Iterable[Tensor], workers: int) -> None:
    """Put the first worker's values in place of every other worker's."""
    if workers > 1:
        for tensor in tensors:
            distributed.broadcast(tensor.detach(), src=0)
