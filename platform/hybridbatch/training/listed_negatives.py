"""Hard negatives that a training file lists, as texts of a store.

Shape legend: B pairs of the global batch, K places of the longest list, R rows, S texts of the store, I items.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hybridbatch.batching.plan import Batch
from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.training.workshop import TokenisedPairs


class ListedNegatives:
    """The lists of a training file.

    Args:
        tokens: The training set.
        store: Its negatives as tokens.

    Attributes:
        store: All texts that rows list, one row after the other.
        groups_S: The group of items that a text is a passage of, -1 for a text that is none.
        record: How many rows there are, how many list nothing, and how many texts are listed.
    """

    def __init__(self, tokens: TokenisedPairs, store: TokenStore) -> None:
        self._pairs, self.store = tokens.pairs, store
        self._offsets_R = tokens.pairs.negative_offsets_R
        self.groups_S = _groups_of_texts(tokens, store.text_hashes_R)
        lengths_R = np.diff(self._offsets_R)
        self.record: Mapping[str, int] = {
            "rows": len(lengths_R),
            "rows_without": int((lengths_R == 0).sum()),
            "listed": len(store),
        }

    def of_batch(self, batch: Batch) -> NDArray[np.int64]:
        """Return the list of each pair's row in the passage's language [B, K], -1 behind its end."""
        rows_B = self._pairs.row_IL[batch.items_B, batch.passage_language_B]
        starts_B, ends_B = self._offsets_R[rows_B], self._offsets_R[rows_B + 1]
        texts_BK = starts_B[:, None] + np.arange((ends_B - starts_B).max(initial=0))
        return np.where(texts_BK < ends_B[:, None], texts_BK, -1)

    def texts(self, chosen: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        """Return chosen texts of the store, and the language of each."""
        rows = np.searchsorted(self._offsets_R, chosen, side="right") - 1
        languages = column_of(self._pairs.rows, "language").take(rows).to_pylist()
        return self._pairs.negative_texts.take(chosen).to_pylist(), languages


def _groups_of_texts(tokens: TokenisedPairs, text_hashes_S: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the group of items whose passages have these texts, -1 where there is none."""
    item_P, language_P = np.nonzero(tokens.pairs.row_IL >= 0)
    hashes_P = tokens.passages.text_hashes_R[tokens.pairs.row_IL[item_P, language_P]]
    known_U, first_U = np.unique(hashes_P, return_index=True)  # items with equal passages are of one group
    place_S = np.minimum(np.searchsorted(known_U, text_hashes_S), len(known_U) - 1)
    groups_S = tokens.passage_groups_I[item_P[first_U[place_S]]]
    return np.where(known_U[place_S] == text_hashes_S, groups_S, -1)
