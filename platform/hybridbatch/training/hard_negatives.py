"""The hard negatives of a step: for each pair the next ones of its list.

Which ones follows from (seed, batch kind, item, visit), not from the worker. What fills the places of a list that is
too short is a negative of no question: every worker brings as many texts as every other one.

Shape legend: B pairs of the global batch, N hard negatives of each pair, K places of a list, S texts of a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hybridbatch.batching.keyed_permutation import mix64
from hybridbatch.batching.plan import Batch
from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.training.arm import ArmContext, StepBatch, TextChange
from hybridbatch.training.losses import ABSENT
from hybridbatch.training.negative_source import NegativeLists, NegativeSource
from hybridbatch.training.training_texts import changed
from hybridbatch.training.workshop import TokenisedPairs

ROLE = "negatives"
_PRESENT = ABSENT + 1  # of no pair's own passage: such a candidate is a negative of every question


class HardNegatives:
    """Chooses the hard negatives of each step.

    A pair goes through its list from visit to visit, ``per_pair`` at a time, and begins at a place of its own. Passed
    over are passages of the items in the batch and of items that share a passage with one of them: of some question
    they are no negative, and of all others they are one already, in this language or another.

    Args:
        per_pair: Hard negatives of each pair.
        lists: The lists of each training set; None where a set has none: its batches have no hard negatives.
        tokens: The training sets.
        context: The trial.
        changes: What is done to passages before they are tokenised.
    """

    def __init__(
        self,
        per_pair: int,
        lists: Sequence[NegativeLists | None],
        tokens: Sequence[TokenisedPairs],
        context: ArmContext,
        changes: Sequence[TextChange],
    ) -> None:
        self._per_pair, self._lists, self._tokens = per_pair, lists, tokens
        self._context, self._changes = context, changes
        self._filling = [0 if one is None else int(np.argmin(one.store.lengths_R)) for one in lists]

    def chosen(self, batch: Batch) -> NDArray[np.int64]:
        """Return the hard negatives of each pair of the global batch, as texts of the store [B, N]; -1 for none."""
        lists, items_B = self._lists[batch.dataset], batch.items_B
        chosen_BN = np.full((len(items_B), self._per_pair), -1, dtype=np.int64)
        if lists is None:
            return chosen_BN
        groups_I = self._tokens[batch.dataset].passage_groups_I
        texts_BK = lists.of_batch(batch)
        usable_BK = (texts_BK >= 0) & ~np.isin(lists.groups_S[texts_BK], groups_I[items_B])
        lengths_B1 = np.maximum((texts_BK >= 0).sum(axis=1, keepdims=True), 1)
        turn_BK = (np.arange(texts_BK.shape[1]) - self._begin(batch)[:, None]) % lengths_B1
        order_BN = np.argsort(np.where(usable_BK, turn_BK, texts_BK.shape[1]), axis=1, kind="stable")
        order_BN = order_BN[:, : self._per_pair]
        found_BN = np.take_along_axis(np.where(usable_BK, texts_BK, -1), order_BN, axis=1)
        chosen_BN[:, : found_BN.shape[1]] = found_BN
        return chosen_BN

    def _begin(self, batch: Batch) -> NDArray[np.int64]:
        """Return the place in its list at which each pair begins."""
        seed = derive_seed(self._context.experiment.training.seed, "hard-negatives", batch.kind, batch.dataset)
        drawn_B = (mix64(batch.items_B.astype(np.uint64) ^ np.uint64(seed)) >> np.uint64(2)).astype(np.int64)
        visits_B = np.zeros(len(drawn_B), np.int64) if batch.epoch_B is None else batch.epoch_B
        return drawn_B + visits_B * self._per_pair

    def texts(self, step: StepBatch) -> Mapping[str, TokenStore]:
        """Return the hard negatives of this worker's pairs, those of one pair after the other."""
        lists = self._lists[step.batch.dataset]
        if lists is None:
            return {}
        rows = self.chosen(step.batch)[step.own].ravel()
        rows = np.where(rows < 0, self._filling[step.batch.dataset], rows)
        if not self._changes:
            return {ROLE: lists.store.chosen(rows)}
        texts, languages = lists.texts(rows)
        return {ROLE: changed(texts, languages, "passages", step.batch.step, self._context, self._changes)}

    def keys(self, batch: Batch) -> NDArray[np.int64]:
        """Return the keys of the hard negatives of the global batch [B * N]: no pair's own, or that of no negative."""
        if self._lists[batch.dataset] is None:
            return np.empty(0, np.int64)
        return np.where(self.chosen(batch).ravel() < 0, ABSENT, _PRESENT)

    def record(self) -> dict[str, Mapping[str, int]]:
        """Return what is worth recording of each training set's lists, by its place and name."""
        return {
            f"{index}/{tokens.pairs.name}": lists.record
            for index, (tokens, lists) in enumerate(zip(self._tokens, self._lists, strict=True))
            if lists is not None
        }


def hard_negatives(
    context: ArmContext, tokens: Sequence[TokenisedPairs], changes: Sequence[TextChange]
) -> HardNegatives | None:
    """Return the hard negatives of a trial, None for in-batch negatives alone.

    Raises:
        UserError: If the training sets, or the model that mines, do not have what is asked for.
    """
    source = cast(NegativeSource | None, context.experiment.batches.hard_negatives)
    if source is None:
        return None
    return HardNegatives(source.per_pair, source.lists(context), tokens, context, changes)
