"""Texts to embeddings: every distinct text once, in batches of texts of like length.

Shape legend: R texts, U distinct texts, D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.evaluation.token_store import TokenStore

if TYPE_CHECKING:
    import torch
    from torch import nn

_TOKENS_PER_BATCH = 4096  # fits the caches of a CPU; larger batches were not faster there


def encode(
    encoder: nn.Module,
    store: TokenStore,
    *,
    device: str = "cpu",
    rank: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> torch.Tensor:
    """Return the embeddings [R, D] of all texts of ``store``, float32 on the CPU.

    Equal texts are encoded once and get the same embedding to the bit. With several workers each encodes a share, and
    all get the whole.

    Args:
        encoder: Token ids and mask to embeddings; put into evaluation mode and back.
        store: The texts.
        device: Where the encoder is.
        rank: This worker.
        workers: Number of workers of the torch.distributed group.
        progress: Called with texts done and texts in all.
    """
    import torch

    _, first_U, text_of_R = np.unique(store.text_hashes_R, return_index=True, return_inverse=True)
    was_training = encoder.training
    encoder.eval()
    embeddings_UD: torch.Tensor | None = None
    with torch.inference_mode():
        done = 0
        for number, chosen in enumerate(_batches(store.lengths_R[first_U])):
            done += len(chosen)
            if number % workers != rank and embeddings_UD is not None:
                continue
            ids_BT, mask_BT = (torch.from_numpy(array).to(device) for array in store.padded(first_U[chosen]))
            embeddings_BD = encoder(ids_BT, mask_BT).float().cpu()
            if embeddings_UD is None:
                embeddings_UD = torch.zeros(len(first_U), embeddings_BD.shape[1])
            if number % workers == rank:
                embeddings_UD[chosen] = embeddings_BD
            if progress:
                progress(done, len(first_U))
    encoder.train(was_training)
    if embeddings_UD is None:
        raise ValueError("there are no texts to encode")
    if workers > 1:
        embeddings_UD = _sum_over_workers(embeddings_UD, device)  # every row was written by one worker, the rest are 0
    return embeddings_UD.clone()[torch.from_numpy(text_of_R)]


def _batches(lengths_U: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the texts in batches of a bounded number of tokens, padding included, longest texts first."""
    order = np.argsort(-lengths_U, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, _TOKENS_PER_BATCH // int(lengths_U[order[start]]))
        yield order[start : start + size]
        start += size


def _sum_over_workers(tensor: torch.Tensor, device: str) -> torch.Tensor:
    from torch import distributed

    moved = tensor.clone().to(device)
    distributed.all_reduce(moved)
    return moved.cpu()
