"""Which texts a step's pairs are, as tokens: from the stores that all trials share, or changed and tokenised anew.

Shape legend: B pairs of this worker, G pairs of the global batch, I items, R rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hybridbatch.batching.plan import Batch
from hybridbatch.evaluation.token_store import TokenStore, tokenized_in_memory
from hybridbatch.training.arm import ArmContext, StepBatch, TextChange
from hybridbatch.training.workshop import TokenisedPairs

Roles = Mapping[str, TokenStore]


class TrainingTexts:
    """The questions and passages of a step.

    Args:
        tokens: The training sets.
        context: The trial.
        changes: What is done to texts before they are tokenised; with none the shared stores are used.
    """

    def __init__(self, tokens: Sequence[TokenisedPairs], context: ArmContext, changes: Sequence[TextChange]) -> None:
        self._tokens, self._context, self._changes = tokens, context, changes

    def __call__(self, step: StepBatch) -> Roles:
        """Return the texts of this worker's pairs."""
        batch, tokens = step.batch, self._tokens[step.batch.dataset]
        found = {}
        for role, store, language_G in (
            ("questions", tokens.questions, batch.question_language_B),
            ("passages", tokens.passages, batch.passage_language_B),
        ):
            rows_B = tokens.pairs.row_IL[batch.items_B, language_G][step.own]
            found[role] = self._changed(tokens, role, rows_B, step) if self._changes else store.chosen(rows_B)
        return found

    def _changed(self, tokens: TokenisedPairs, role: str, rows_B: NDArray[np.int64], step: StepBatch) -> TokenStore:
        column = "query" if role == "questions" else "passage"
        rows = tokens.pairs.rows.select_columns([column, "language"])[rows_B.tolist()]
        return changed(rows[column], rows["language"], role, step.batch.step, self._context, self._changes)


def changed(
    texts: list[str],
    languages: list[str],
    role: str,
    step: int,
    context: ArmContext,
    changes: Sequence[TextChange],
) -> TokenStore:
    """Return texts as tokens after all changes.

    Args:
        texts: The texts.
        languages: The language of each.
        role: ``questions`` or ``passages``.
        step: The step.
        context: The trial.
        changes: What is done to them, one after the other.
    """
    for change in changes:
        texts = [change.changed(text, language, role, step) for text, language in zip(texts, languages, strict=True)]
    prefix, longest = context.workshop.backbone(context.experiment).prefix_and_tokens(role == "questions")
    return tokenized_in_memory(texts, context.tokenizer, prefix=prefix, longest=longest, languages=languages)


def passage_keys(tokens: Sequence[TokenisedPairs], batch: Batch, *, translations: bool) -> NDArray[np.int64]:
    """Return a key for each passage of the global batch [G]: equal for equal texts.

    Args:
        tokens: The training sets.
        batch: The batch.
        translations: Whether passages of items that share a passage in some language have one key, too.
    """
    of_set = tokens[batch.dataset]
    if translations:
        return of_set.passage_groups_I[batch.items_B]
    rows_G = of_set.pairs.row_IL[batch.items_B, batch.passage_language_B]
    return np.asarray(of_set.passages.text_hashes_R[rows_G]).view(np.int64)
