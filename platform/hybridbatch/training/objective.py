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
from hybridbatch.training.arm import ArmContext, EmbeddingTerm, StateTerm, active_arms, errors_below, memory_of
from hybridbatch.training.dual_encoder import DualEncoder
from hybridbatch.training.hard_negatives import ROLE, hard_negatives
from hybridbatch.training.input_pipeline import PreparedStep, TextsOfStep
from hybridbatch.training.losses import info_nce
from hybridbatch.training.matryoshka import check_widths
from hybridbatch.training.training_texts import TrainingTexts, passage_keys


class Objective:
    """The loss of a trial.

    Args:
        context: The trial.
        model: What is trained.

    Attributes:
        texts: Where the texts of a step come from: those of its pairs, its hard negatives, then those of each term.
        negatives: The hard negatives; None for in-batch negatives alone.

    Raises:
        UserError: If an arm cannot do its work, at a path that starts with ``arms.NAME``; or if the training sets, or
            the model that mines, do not have the hard negatives asked for.
    """

    def __init__(self, context: ArmContext, model: DualEncoder) -> None:
        self._settings, self._shard, self._model = context.experiment.loss, context.shard, model
        self._tokens = context.workshop.training_tokens(context.experiment)
        self._terms: dict[str, EmbeddingTerm] = {}
        self._state_terms: dict[str, StateTerm] = {}
        self._noted: dict[str, Tensor] = {}
        changes = []
        for name, arm in active_arms(context.experiment):
            with errors_below(f"arms.{name}"):
                change, term = arm.text_change(context), arm.embedding_term(context)
                state_term = arm.state_term(context, model.encoder)
            if change is not None:
                changes.append(change)
            if term is not None:
                self._terms[name] = term
            if state_term is not None:
                self._state_terms[name] = state_term
        pairs = TrainingTexts(self._tokens, context, changes)
        self.negatives = hard_negatives(context, self._tokens, changes)
        further = [] if self.negatives is None else [self.negatives.texts]
        self.texts: list[TextsOfStep] = [pairs, *further, *(term.texts for term in self._terms.values())]

    def keys(self, batch: Batch) -> NDArray[np.int64]:
        """Return a key for each candidate of the global batch [C]: those with equal keys are no negatives."""
        keys_C = np.arange(len(batch.items_B))
        if self._settings.mask_equal_passages or self._settings.mask_translations:
            keys_C = passage_keys(self._tokens, batch, translations=self._settings.mask_translations)
        return keys_C if self.negatives is None else np.concatenate([keys_C, self.negatives.keys(batch)])

    def loss(self, embeddings_RD: Tensor, prepared: PreparedStep) -> Tensor:
        """Return this worker's part of the loss of a step, from the embeddings of all its texts.

        Raises:
            ConflictError: If embeddings are narrower than a width of ``loss.matryoshka``.
        """
        settings, temperature = self._settings, self._model.temperature
        check_widths(settings.matryoshka, embeddings_RD.shape[1])
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
        self._note("info_nce", loss)
        for name, term in self._terms.items():
            with errors_below(f"arms.{name}"):
                value = term.loss(embeddings, prepared.step, temperature)
            self._note(name, value)
            loss = loss + value
        return loss

    def backward_of_state_terms(self, step: int, computing: Callable[[], AbstractContextManager[object]]) -> Tensor:
        """Add the gradients of the terms that run the encoder by themselves; return their sum, detached."""
        total = torch.zeros((), device=self._model.log_temperature.device)
        for name, term in self._state_terms.items():
            with errors_below(f"arms.{name}"), memory_of(f"arms.{name}"):
                value = term.backward(self._model.encoder, step, computing())
            self._note(name, value)
            total = total + value
        return total

    def take_terms(self) -> dict[str, Tensor]:
        """Return each term of the step that was just taken: on this worker, as it enters the loss.

        ``info_nce`` and the names of arms; nothing for a loss of one term.
        """
        terms, self._noted = self._noted, {}
        return terms

    def _note(self, name: str, value: Tensor) -> None:
        if self._terms or self._state_terms:
            self._noted[name] = value.detach()
