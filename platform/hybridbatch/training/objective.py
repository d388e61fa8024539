"""What a trial minimises: InfoNCE over the batch, and the terms that its arms add.

Shape legend: R texts of this worker, C candidates of the global batch, D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridbatch.batching.plan import Batch
from hybridbatch.training.arm import ArmContext, active_arms
from hybridbatch.training.dual_encoder import DualEncoder
from hybridbatch.training.hard_negatives import ROLE, hard_negatives
from hybridbatch.training.input_pipeline import PreparedStep, TextsOfStep
from hybridbatch.training.losses import info_nce
from hybridbatch.training.training_texts import TrainingTexts, passage_keys


class Objective:
    """The loss of a trial.

    Args:
        context: The trial.
        model: What is trained.

    Attributes:
        texts: Where the texts of a step come from: those of its pairs, its hard negatives, then those of each term.
        negatives: The hard negatives; None for in-batch negatives alone.
    """

    def __init__(self, context: ArmContext, model: DualEncoder) -> None:
        self._settings, self._shard, self._model = context.experiment.loss, context.shard, model
        self._tokens = context.workshop.training_tokens(context.experiment)
        arms = [arm for _, arm in active_arms(context.experiment)]
        changes = [one for arm in arms if (one := arm.text_change(context)) is not None]
        self._terms = [term for arm in arms if (term := arm.embedding_term(context)) is not None]
        self._state_terms = [own for arm in arms if (own := arm.state_term(context, model.encoder)) is not None]
        pairs = TrainingTexts(self._tokens, context, changes)
        self.negatives = hard_negatives(context, self._tokens, changes)
        further = [] if self.negatives is None else [self.negatives.texts]
        self.texts: list[TextsOfStep] = [pairs, *further, *(term.texts for term in self._terms)]

    def keys(self, batch: Batch) -> NDArray[np.int64]:
        """Return a key for each candidate of the global batch [C]: those with equal keys are no negatives."""
        keys_C = np.arange(len(batch.items_B))
        if self._settings.mask_equal_passages or self._settings.mask_translations:
            keys_C = passage_keys(self._tokens, batch, translations=self._settings.mask_translations)
        return keys_C if self.negatives is None else np.concatenate([keys_C, self.negatives.keys(batch)])

    def loss(self, embeddings_RD: Tensor, prepared: PreparedStep) -> Tensor:
        """Return this worker's part of the loss of a step, from the embeddings of all its texts."""
        settings, temperature = self._settings, self._model.temperature
        embeddings = prepared.by_role(embeddings_RD)
        loss = info_nce(
            embeddings["questions"],
            embeddings["passages"],
            temperature,
            both_directions=settings.directions == "both",
            negatives_ND=embeddings.get(ROLE),
            keys_C=prepared.keys_C,
            widths=settings.matryoshka,
            shard=self._shard,
        )
        for term in self._terms:
            loss = loss + term.loss(embeddings, prepared.step, temperature)
        return loss

    def backward_of_state_terms(self, step: int, computing: Callable[[], AbstractContextManager[object]]) -> Tensor:
        """Add the gradients of the terms that run the encoder by themselves; return their sum, detached."""
        total = torch.zeros((), device=self._model.log_temperature.device)
        for term in self._state_terms:
            total = total + term.backward(self._model.encoder, step, computing())
        return total
