"""How far apart the ranks of parallel passages are, as a term of the loss.

Shape legend: B pairs of this worker, G pairs of the global batch, L languages, P passages of the pool, D width of the
embedding.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridbatch.batching.plan import Batch
from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.training.arm import ArmContext, StepBatch
from hybridbatch.training.gathering import gather_with_gradient

_ROLE = "bias-penalty passages"


class RankAgreement:
    """The penalty of :class:`hybridbatch.training.arms.bias_penalty.BiasPenalty`.

    Args:
        context: The trial.
        weight: What it is multiplied with.
        softness: What differences of scores are divided by.
    """

    def __init__(self, context: ArmContext, weight: float, softness: float) -> None:
        self._tokens = context.workshop.training_tokens(context.experiment)
        self._seed, self._shard = context.experiment.training.seed, context.shard
        self._weight, self._softness = weight, softness

    def texts(self, step: StepBatch) -> Mapping[str, TokenStore]:
        """Return the passages in other languages of this worker's items; an item in one language has its own again.

        All workers have to have the same number of rows. When no item of the global batch has another language there
        are none.
        """
        others_GL = self._other_languages(step.batch)
        if not others_GL.any():
            return {}
        batch, tokens = step.batch, self._tokens[step.batch.dataset]
        language_B = batch.passage_language_B[step.own].copy()
        for place, (item, others_L) in enumerate(zip(batch.items_B[step.own], others_GL[step.own], strict=True)):
            choices = np.flatnonzero(others_L)
            if len(choices):
                draw = derive_seed(self._seed, "bias-penalty", batch.step, batch.dataset, int(item))
                language_B[place] = choices[draw % len(choices)]
        return {_ROLE: tokens.passages.chosen(tokens.pairs.row_IL[batch.items_B[step.own], language_B])}

    def loss(self, embeddings: Mapping[str, Tensor], step: StepBatch, temperature: Tensor) -> Tensor:
        """Return this worker's part of the penalty."""
        questions_BD = embeddings["questions"]
        if _ROLE not in embeddings:
            return questions_BD.new_zeros(())
        has_other_G = torch.from_numpy(self._other_languages(step.batch).any(axis=1)).to(questions_BD.device)
        own_GD, other_GD = (gather_with_gradient(embeddings[role], self._shard.workers) for role in ("passages", _ROLE))
        distances_B = rank_distances(
            questions_BD @ own_GD.T, questions_BD @ other_GD.T, has_other_G, step.own.start, self._softness
        )
        own_B = has_other_G[step.own]
        # the mean over workers is the mean over the questions of the global batch
        return self._weight * (distances_B * own_B).sum() * self._shard.workers / has_other_G.sum()

    def _other_languages(self, batch: Batch) -> NDArray[np.bool_]:
        """Return in which other languages than its passage's each item of the global batch exists [G, L]."""
        others_GL: NDArray[np.bool_] = self._tokens[batch.dataset].pairs.row_IL[batch.items_B] >= 0
        others_GL[np.arange(len(others_GL)), batch.passage_language_B] = False
        return others_GL


def rank_distances(own_BG: Tensor, other_BG: Tensor, has_other_G: Tensor, first: int, softness: float) -> Tensor:
    """Return ``|log r_a - log r_b|`` of each question [B].

    Args:
        own_BG: Scores of the passages of the batch; that of question ``i`` stands in column ``first + i``.
        other_BG: Scores of the passages of the same items in another language.
        has_other_G: Which of those there are; the others stand nowhere.
        first: Place of the first question in the batch.
        softness: What differences of scores are divided by.
    """
    pool_BP = torch.cat([own_BG, other_BG], dim=1)
    questions_B, columns_B = (torch.arange(len(own_BG), device=own_BG.device) + start for start in (0, first))
    counted_BG = torch.ones_like(own_BG)
    counted_BG[questions_B, columns_B] = 0  # the passages of the question itself
    counted_BP = torch.cat([counted_BG, counted_BG * has_other_G], dim=1)
    ranks = []
    for scores_BG in (own_BG, other_BG):
        score_B1 = scores_BG[questions_B, columns_B, None]
        before_BP = torch.sigmoid((pool_BP - score_B1) / softness) * counted_BP
        ranks.append(1 + before_BP.sum(dim=1))
    return (ranks[0].log() - ranks[1].log()).abs()
