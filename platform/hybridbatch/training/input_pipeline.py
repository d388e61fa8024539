"""What a step takes in, made ahead of it in another thread: texts as tokens, in passes, and what tells them apart.

Shape legend: B pairs of this worker, G pairs of the global batch, R texts of this worker, C candidates of the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridbatch.batching.plan import Batch, BatchPlan
from hybridbatch.evaluation.token_store import TokenStore, joined
from hybridbatch.training.arm import StepBatch
from hybridbatch.training.losses import Shard
from hybridbatch.training.text_passes import TextPass, text_passes

TextsOfStep = Callable[[StepBatch], Mapping[str, TokenStore]]
KeysOfStep = Callable[[Batch], NDArray[np.int64]]
# Without padding, the larger a pass the better. With padding, which a CPU computes like text, small ones have less.
_MOST_TOKENS, _MOST_PADDED_TOKENS_ON_A_CPU = 1 << 16, 512


def tokens_of_pass(device: str, *, packed: bool) -> int:
    """Return how many tokens, padding included, a pass of the encoder has where nothing says otherwise."""
    return _MOST_TOKENS if packed or torch.device(device).type != "cpu" else _MOST_PADDED_TOKENS_ON_A_CPU


@dataclass(frozen=True)
class PreparedStep:
    """All that a step takes in.

    Attributes:
        step: The global batch, and which of its pairs are this worker's.
        roles: Which rows of the texts are ``questions``, ``passages`` and so on.
        passes: The texts.
        keys_C: A key for each candidate of the global batch; candidates with equal keys are no negatives of each other.
    """

    step: StepBatch
    roles: Mapping[str, slice]
    passes: Sequence[TextPass]
    keys_C: Tensor

    def by_role(self, embeddings_RD: Tensor) -> dict[str, Tensor]:
        """Return the embeddings of each role."""
        return {role: embeddings_RD[rows] for role, rows in self.roles.items()}


class InputPipeline:
    """Prepares steps one ahead; a step follows from its number alone.

    Args:
        plan: The planned batches.
        texts: The texts of a step by role, each source in turn.
        keys: Keys of the candidates of a batch.
        shard: Which part of each global batch is this worker's.
        device: Where the encoder is.
        packed: Whether the encoder reads texts without padding.
        most_tokens: Asked before each step: tokens of the largest pass, None for what suits the device.

    Attributes:
        waited: Seconds that steps have waited for what they take in.
    """

    def __init__(
        self,
        plan: BatchPlan,
        texts: Sequence[TextsOfStep],
        keys: KeysOfStep,
        shard: Shard,
        device: str,
        packed: bool,
        most_tokens: Callable[[], int | None],
    ) -> None:
        self._plan, self._texts, self._keys, self._shard, self._device = plan, texts, keys, shard, device
        self._packed, self._most_tokens = packed, most_tokens
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="input-pipeline")
        self._next: tuple[int, Future[PreparedStep]] | None = None
        self.waited = 0.0

    def step(self, number: int, *, last: bool = False) -> PreparedStep:
        """Return what step ``number`` takes in, and begin with the next one unless this is the ``last``."""
        begin = time.perf_counter()
        if self._next is None or self._next[0] != number:
            self._next = (number, self._thread.submit(self._prepare, number))
        prepared = self._next[1].result()
        self._next = None if last else (number + 1, self._thread.submit(self._prepare, number + 1))
        moved = [one.to(self._device) for one in prepared.passes]
        keys_C = prepared.keys_C.to(self._device, non_blocking=True)
        self.waited += time.perf_counter() - begin
        return PreparedStep(prepared.step, prepared.roles, moved, keys_C)

    def _prepare(self, number: int) -> PreparedStep:
        batch = self._plan.batch(number)
        step = StepBatch(batch, batch.shard(self._shard.rank, self._shard.workers))
        stores: dict[str, TokenStore] = {}
        for source in self._texts:
            stores.update(source(step))
        ends = np.cumsum([len(store) for store in stores.values()]).tolist()
        roles = {role: slice(end - len(store), end) for (role, store), end in zip(stores.items(), ends, strict=True)}
        packed = self._packed
        most, texts = tokens_of_pass(self._device, packed=packed), joined(list(stores.values()))
        passes = text_passes(texts, min(most, self._most_tokens() or most), packed=packed)
        if torch.device(self._device).type == "cuda":
            passes = [one.pinned() for one in passes]
        return PreparedStep(step, roles, passes, torch.from_numpy(self._keys(batch)))
