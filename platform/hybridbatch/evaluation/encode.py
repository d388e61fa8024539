"""Texts to embeddings: every distinct text once, in batches of texts of like length.

Shape legend: R texts, U distinct texts, D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.evaluation.token_store import TokenStore, groups_of_like_length

if TYPE_CHECKING:
    import torch
    from torch import nn

_TOKENS_PER_BATCH = 2048  # fits the caches of a CPU; larger batches were not faster there


def encode(
    encoder: nn.Module,
    store: TokenStore,
    *,
    device: str = "cpu",
    rank: int = 0,
    workers: int = 1,
    computing: Callable[[], AbstractContextManager[object]] = nullcontext,
    progress: Callable[[int, int], None] | None = None,
) -> torch.Tensor:
    """Return the embeddings [R, D] of all texts of ``store``, float32 on the CPU.

    Equal texts, of one language where the tokenizer is told it, are encoded once and get the same embedding to the bit.
    On a CPU each batch is computed by one thread, several batches at a time: threads that share a batch wait for each
    other after every layer. So embeddings do not depend on the number of threads. With several workers each encodes a
    share, and all get the whole.

    Args:
        encoder: Token ids and mask to embeddings; put into evaluation mode and back.
        store: The texts.
        device: Where the encoder is.
        rank: This worker.
        workers: Number of workers of the torch.distributed group.
        computing: Opens what each thread computes in, such as a precision.
        progress: Called with texts done and texts in all.
    """
    import torch

    _, first_U, text_of_R = np.unique(store.input_hashes_R, return_index=True, return_inverse=True)
    if not len(first_U):
        raise ValueError("there are no texts to encode")
    batches = list(groups_of_like_length(store.lengths_R[first_U], _TOKENS_PER_BATCH))

    def encoded(chosen: NDArray[np.int64]) -> torch.Tensor:
        with torch.inference_mode(), computing():
            ids_BT, mask_BT = (torch.from_numpy(array).to(device) for array in store.padded(first_U[chosen]))
            embeddings_BD: torch.Tensor = encoder(ids_BT, mask_BT).float().cpu()
            return embeddings_BD

    was_training = encoder.training
    encoder.eval()
    mine = batches[rank::workers]
    done = 0
    embeddings_UD: torch.Tensor | None = None
    try:
        with _one_thread_a_batch(device) as threads:
            for chosen, embeddings_BD in zip(mine, threads.map(encoded, mine), strict=True):
                if embeddings_UD is None:
                    embeddings_UD = torch.zeros(len(first_U), embeddings_BD.shape[1])
                embeddings_UD[chosen] = embeddings_BD
                done += len(chosen) * workers
                if progress:
                    progress(min(done, len(first_U)), len(first_U))
        if embeddings_UD is None:  # a worker without a share, which has to know the width all the same
            embeddings_UD = torch.zeros(len(first_U), encoded(batches[0][:1]).shape[1])
    finally:
        encoder.train(was_training)
    if workers > 1:
        embeddings_UD = _sum_over_workers(embeddings_UD, device)  # every row was written by one worker, the rest are 0
    return embeddings_UD[torch.from_numpy(text_of_R)]


@contextmanager
def _one_thread_a_batch(device: str) -> Iterator[ThreadPoolExecutor]:
    """Yield as many threads as torch has on a CPU, each of which computes alone; one for any other device."""
    import torch

    before = torch.get_num_threads()
    if not device.startswith("cpu") or before == 1:
        with ThreadPoolExecutor(1) as threads:
            yield threads
        return
    threads = ThreadPoolExecutor(before, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)  # after an error nobody waits for the batches that are left
        torch.set_num_threads(before)  # that of new threads, such as those of backward passes


def _sum_over_workers(tensor: torch.Tensor, device: str) -> torch.Tensor:
    from torch import distributed

    moved = tensor.clone().to(device)
    distributed.all_reduce(moved)
    return moved.cpu()
