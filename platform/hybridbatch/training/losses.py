"""InfoNCE over the global batch.

Shape legend: B pairs of this worker, G pairs of the global batch, N hard negatives of this worker, C candidates of the
global batch (its G passages, then the hard negatives of all workers), D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
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
ABSENT = -(1 << 63)
"""The key of a candidate that is a negative of no question: it fills a place, so that all workers have as many."""


def info_nce(
    questions_BD: Tensor,
    passages_BD: Tensor,
    temperature: Tensor,
    *,
    both_directions: bool,
    negatives_ND: Tensor | None = None,
    keys_C: Tensor | None = None,
    widths: Sequence[int] = (),
    shard: Shard = ALONE,
) -> Tensor:
    """Return this worker's part of the InfoNCE loss (arXiv 1807.03748) of the global batch.

    For question ``i`` the loss is ``-log(exp(s_ii / t) / sum_c exp(s_ic / t))`` with cosine scores ``s`` of all
    candidates; with both directions it is averaged with the same for passage ``i`` choosing among all questions. The
    mean over workers of what this function returns is the mean over the global batch, and so are the gradients.

    Args:
        questions_BD: Embeddings of unit length.
        passages_BD: Embeddings of unit length; passage ``i`` answers question ``i``.
        temperature: Scalar tensor.
        both_directions: Whether passages also choose questions.
        negatives_ND: Further candidates, the same number from every worker.
        keys_C: When given, a candidate with the key of question ``i``'s passage is no negative of it, and one with the
            key :data:`ABSENT` is none of any question.
        widths: Widths D at which the loss is taken, too, of embeddings cut to it and brought to unit length again; the
            mean over all widths is returned (arXiv 2205.13147).
        shard: Which part of the global batch is here.
    """
    questions_GD = gather_with_gradient(questions_BD, shard.workers) if both_directions else questions_BD
    candidates_CD = passages_GD = gather_with_gradient(passages_BD, shard.workers)
    if negatives_ND is not None:
        candidates_CD = torch.cat([passages_GD, gather_with_gradient(negatives_ND, shard.workers)])
    first = shard.rank * len(questions_BD)
    own_B = torch.arange(first, first + len(questions_BD), device=questions_BD.device)
    equal_BC = None if keys_C is None else _equal(keys_C, own_B)
    losses = []
    for width in (*widths, None):
        loss = _choose(_cut(questions_BD, width), _cut(candidates_CD, width), own_B, equal_BC, temperature)
        if both_directions:
            equal_BG = None if equal_BC is None else equal_BC[:, : len(questions_GD)]
            back = _choose(_cut(passages_BD, width), _cut(questions_GD, width), own_B, equal_BG, temperature)
            loss = (loss + back) / 2
        losses.append(loss)
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean()


def _cut(embeddings_RD: Tensor, width: int | None) -> Tensor:
    return embeddings_RD if width is None else functional.normalize(embeddings_RD[:, :width], dim=-1)


def _equal(keys_C: Tensor, own_B: Tensor) -> Tensor:
    """Return where a candidate is no negative [B, C]: of its pair's key or absent, but for the pair's own passage."""
    equal_BC = (keys_C[own_B, None] == keys_C[None, :]) | (keys_C == ABSENT)
    equal_BC[torch.arange(len(own_B), device=own_B.device), own_B] = False
    return equal_BC


def _choose(
    chooser_BD: Tensor, choices_CD: Tensor, own_B: Tensor, equal_BC: Tensor | None, temperature: Tensor
) -> Tensor:
    scores_BC = chooser_BD @ choices_CD.T / temperature
    if equal_BC is not None:
        scores_BC = scores_BC.masked_fill(equal_BC, float("-inf"))
    return functional.cross_entropy(scores_BC, own_B)
