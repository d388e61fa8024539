"""InfoNCE over the global batch.

Shape legend: B pairs of this worker, G pairs of the global batch, D width of the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hybridbatch.training.gathering import gather_with_gradient


@dataclass(frozen=True)
class Shard:
    """Which part of the global batch this worker holds.

    Attributes:
        rank: This worker.
        workers: All workers; pairs ``rank * B`` to ``(rank + 1) * B`` of the global batch are here.
    """

    rank: int = 0
    workers: int = 1


ALONE = Shard()


def info_nce(
    questions_BD: Tensor,
    passages_BD: Tensor,
    temperature: Tensor,
    *,
    both_directions: bool,
    text_hashes_G: Tensor | None = None,
    shard: Shard = ALONE,
) -> Tensor:
    """Return this worker's part of the InfoNCE loss (arXiv 1807.03748) of the global batch.

    For question ``i`` the loss is ``-log(exp(s_ii / t) / sum_j exp(s_ij / t))`` with cosine scores ``s``; with both
    directions it is averaged with the same for passage ``i`` choosing among all questions. The mean over workers of
    what this function returns is the mean over the global batch, and so are the gradients that DDP averages.

    Args:
        questions_BD: Embeddings of unit length.
        passages_BD: Embeddings of unit length; passage ``i`` answers question ``i``.
        temperature: Scalar tensor.
        both_directions: Whether passages also choose questions.
        text_hashes_G: When given, pairs whose passages have equal hashes are not each other's negatives.
        shard: Which part of the global batch is here.
    """
    questions_GD = gather_with_gradient(questions_BD, shard.workers)
    passages_GD = gather_with_gradient(passages_BD, shard.workers)
    first = shard.rank * len(questions_BD)
    own_B = torch.arange(first, first + len(questions_BD), device=questions_BD.device)
    equal_BG = None
    if text_hashes_G is not None:
        equal_BG = text_hashes_G[own_B, None] == text_hashes_G[None, :]
        equal_BG[torch.arange(len(own_B)), own_B] = False
    loss = _choose(questions_BD, passages_GD, own_B, equal_BG, temperature)
    if both_directions:
        loss = (loss + _choose(passages_BD, questions_GD, own_B, equal_BG, temperature)) / 2
    return loss


def _choose(
    chooser_BD: Tensor, choices_GD: Tensor, own_B: Tensor, equal_BG: Tensor | None, temperature: Tensor
) -> Tensor:
    scores_BG = chooser_BD @ choices_GD.T / temperature
    if equal_BG is not None:
        scores_BG = scores_BG.masked_fill(equal_BG, float("-inf"))
    return functional.cross_entropy(scores_BG, own_B)
