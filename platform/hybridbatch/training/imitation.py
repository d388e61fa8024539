"""How far a student is from its teacher, as a term of the loss.

Shape legend: B pairs of this worker, G pairs of the global batch, D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hybridbatch.batching.plan import Batch
from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.training.arm import ArmContext, StepBatch
from hybridbatch.training.arms.distillation import widths_differ
from hybridbatch.training.gathering import gather_with_gradient
from hybridbatch.training.teacher import Targets, Teacher

if TYPE_CHECKING:
    from hybridbatch.training.arms.distillation import Distillation

_ROLES = ("questions", "passages")


class Imitation:
    """The term of :class:`hybridbatch.training.arms.distillation.Distillation`.

    Args:
        context: The trial.
        settings: The arm.

    Raises:
        UserError: If the teacher cannot be loaded.
    """

    def __init__(self, context: ArmContext, settings: Distillation) -> None:
        self._settings, self._shard = settings, context.shard
        self._sets = [one.pairs for one in context.workshop.training_tokens(context.experiment)]
        self._temperature = settings.temperature or context.experiment.loss.temperature
        data, threads = context.experiment.data.model_dump_json(), context.experiment.training.threads
        key = f"{data} {settings.teacher} {settings.pivot} {context.device} {threads}"
        self._targets = context.workshop.keep("teacher", key, lambda: self._all_targets(context))

    def _all_targets(self, context: ArmContext) -> list[dict[str, Targets]]:
        teacher = Teacher(self._settings.teacher, context.workshop.location, context.device)
        return [{role: teacher.targets(pairs, role, self._settings.pivot) for role in _ROLES} for pairs in self._sets]

    def texts(self, step: StepBatch) -> Mapping[str, TokenStore]:
        """Return nothing: the batch's own texts are compared."""
        return {}

    def loss(self, embeddings: Mapping[str, Tensor], step: StepBatch, temperature: Tensor) -> Tensor:
        """Return this worker's part of the term.

        Raises:
            ConflictError: If embeddings are compared that are not equally wide.
        """
        of_embeddings = self._settings.targets == "embeddings"
        part = (self._of_embeddings if of_embeddings else self._of_scores)(embeddings, step)
        return self._settings.weight * part

    def _of_embeddings(self, embeddings: Mapping[str, Tensor], step: StepBatch) -> Tensor:
        total, texts = embeddings["questions"].new_zeros(()), 0
        for role in _ROLES:
            student_BD, rows_G = embeddings[role], self._target_rows(role, step.batch)
            if not (rows_G >= 0).any():
                continue
            texts += int(np.count_nonzero(rows_G >= 0))
            teacher_BD = self._teacher(role, step.batch, rows_G[step.own], student_BD)
            width, wanted = teacher_BD.shape[1], student_BD.shape[1]
            if width != wanted:  # in all workers, also in one whose own texts have no target: none waits in vain
                raise widths_differ(self._settings.teacher, width, wanted)
            has_B = torch.from_numpy(rows_G[step.own] >= 0).to(student_BD.device)
            total = total + ((student_BD - teacher_BD).square().sum(dim=1) * has_B).sum()
        # the mean over workers is the mean over the texts of the global batch
        return total * self._shard.workers / max(texts, 1)

    def _of_scores(self, embeddings: Mapping[str, Tensor], step: StepBatch) -> Tensor:
        questions_BD = embeddings["questions"]
        rows = {role: self._target_rows(role, step.batch) for role in _ROLES}
        has_G = rows["passages"] >= 0  # and so are the questions: both are of the same row
        if not has_G.any():
            return questions_BD.new_zeros(())
        passages_GD = gather_with_gradient(embeddings["passages"], self._shard.workers)
        teacher_BG = (
            self._teacher("questions", step.batch, rows["questions"][step.own], questions_BD)
            @ self._teacher("passages", step.batch, rows["passages"], questions_BD).T
        )
        has = torch.from_numpy(has_G).to(questions_BD.device)
        divergence_B = score_divergence(questions_BD @ passages_GD.T, teacher_BG, has, self._temperature)
        return (divergence_B * has[step.own]).sum() * self._shard.workers / has.sum()

    def _target_rows(self, role: str, batch: Batch) -> NDArray[np.int64]:
        """Return the row that the teacher encoded for each text of the global batch [G], -1 where there is none."""
        pairs, pivot = self._sets[batch.dataset], self._settings.pivot
        language_G = batch.question_language_B if role == "questions" else batch.passage_language_B
        if pivot is not None:
            if pivot not in pairs.languages:
                return np.full(len(batch.items_B), -1)
            language_G = np.full_like(language_G, pairs.languages.index(pivot))
        return np.asarray(pairs.row_IL[batch.items_B, language_G], dtype=np.int64)

    def _teacher(self, role: str, batch: Batch, rows_B: NDArray[np.int64], like: Tensor) -> Tensor:
        return torch.from_numpy(self._targets[batch.dataset][role].of(rows_B)).to(like.device)


def score_divergence(student_BG: Tensor, teacher_BG: Tensor, has_G: Tensor, temperature: float) -> Tensor:
    """Return ``KL(teacher || student)`` of each question's distribution over passages [B].

    Args:
        student_BG: The student's scores.
        teacher_BG: The teacher's.
        has_G: Which passages the teacher has a score for; the others are left out of both distributions.
        temperature: What scores are divided by.
    """
    logits = [(scores / temperature).masked_fill(~has_G, float("-inf")) for scores in (student_BG, teacher_BG)]
    student_BG, teacher_BG = (functional.log_softmax(one, dim=1).masked_fill(~has_G, 0.0) for one in logits)
    return (teacher_BG.exp() * (teacher_BG - student_BG) * has_G).sum(dim=1)
