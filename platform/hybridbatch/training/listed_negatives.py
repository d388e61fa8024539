"""Hard negatives that a training file lists, as texts of a store.

Shape legend: B pairs of the global batch, K places of the longest list of a batch, S texts of the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hybridbatch.batching.plan import Batch
from hybridbatch.datasets.text_lists import TextLists
from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.training.arm import ArmContext
from hybridbatch.training.passage_groups import groups_of_texts
from hybridbatch.training.workshop import TokenisedPairs


class ListedNegatives:
    """The lists of a training file.

    Args:
        tokens: The training set.
        lists: What its rows list.
        store: The same as tokens.

    Attributes:
        store: All texts that rows list, one row after the other.
        groups_S: The group of items that a text is a passage of, -1 for a text that is none.
        record: How many rows there are, how many list nothing, and how many texts are listed.
    """

    def __init__(self, tokens: TokenisedPairs, lists: TextLists, store: TokenStore) -> None:
        self._pairs, self._lists, self.store = tokens.pairs, lists, store
        self.groups_S = groups_of_texts(
            store.text_hashes_R, tokens.passage_groups_I, tokens.pairs.row_IL, tokens.passages.text_hashes_R
        )
        self.record: Mapping[str, int] = {
            "rows": len(tokens.pairs.rows),
            "rows_without": sum(int((length_B == 0).sum()) for length_B in lists.lengths()),
            "listed": len(store),
        }

    def of_batch(self, batch: Batch) -> NDArray[np.int64]:
        """Return the list of each pair's row in the passage's language [B, K], -1 behind its end."""
        starts_B, ends_B = self._lists.bounds(self._pairs.row_IL[batch.items_B, batch.passage_language_B])
        texts_BK = starts_B[:, None] + np.arange((ends_B - starts_B).max(initial=0))
        return np.where(texts_BK < ends_B[:, None], texts_BK, -1)

    def texts(self, chosen: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        """Return chosen texts of the store, and the language of each."""
        texts, rows = self._lists.chosen(chosen)
        return texts, self._pairs.rows.select_columns(["language"])[rows.tolist()]["language"]


def listed_negatives(context: ArmContext) -> Sequence[ListedNegatives | None]:
    """Return what each training set lists, None for a set that lists nothing; trials of a process share it."""
    experiment, workshop = context.experiment, context.workshop

    def make() -> Sequence[ListedNegatives | None]:
        found: list[ListedNegatives | None] = []
        stores = workshop.negative_tokens(experiment)
        for tokens, store in zip(workshop.training_tokens(experiment), stores, strict=True):
            lists = tokens.pairs.negatives
            found.append(None if lists is None or store is None else ListedNegatives(tokens, lists, store))
        return found

    key = experiment.data.model_dump_json() + experiment.backbone.model_dump_json()
    return workshop.keep("listed_negatives", key, make)
