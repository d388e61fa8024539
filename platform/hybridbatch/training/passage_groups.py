"""Which items share a passage: found in one part of all passages after the other, so that few are in memory.

Shape legend: I items, L languages, R rows of a training set, P passages of a part, S texts, C of either looked at
together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_IN_A_PART = 1 << 22  # passages
_AT_ONCE = 1 << 18  # items, or texts


def passage_groups(row_IL: NDArray[np.signedinteger], text_hashes_R: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the group of each item [I]: items that share a passage, in whatever language, are in one group.

    Args:
        row_IL: The row of each item in each language, -1 for none.
        text_hashes_R: Equal for equal passages.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    groups_I = np.arange(len(row_IL))
    for hashes_P, items_P in _parts(row_IL, text_hashes_R):
        same = hashes_P[1:] == hashes_P[:-1]
        linked = (groups_I[items_P[1:][same]], groups_I[items_P[:-1][same]])
        graph = coo_array((np.ones(len(linked[0]), bool), linked), (len(row_IL), len(row_IL)))
        _, joined_I = connected_components(graph, directed=False)
        groups_I = joined_I.astype(np.int64)[groups_I]
    return groups_I


def groups_of_texts(
    text_hashes_S: NDArray[np.uint64],
    groups_I: NDArray[np.int64],
    row_IL: NDArray[np.signedinteger],
    text_hashes_R: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Return the group of the items that have a text as a passage [S], -1 for a text that is no passage.

    Args:
        text_hashes_S: Hashes of the texts.
        groups_I: The :func:`passage_groups`.
        row_IL: The row of each item in each language, -1 for none.
        text_hashes_R: Hashes of the passages.
    """
    groups_S = np.full(len(text_hashes_S), -1, np.int64)
    for hashes_P, items_P in _parts(row_IL, text_hashes_R):
        for start in range(0, len(groups_S), _AT_ONCE):
            hashes_C = np.asarray(text_hashes_S[start : start + _AT_ONCE])
            place_C = np.minimum(np.searchsorted(hashes_P, hashes_C), len(hashes_P) - 1)
            known_C = np.flatnonzero(hashes_P[place_C] == hashes_C)
            groups_S[start + known_C] = groups_I[items_P[place_C[known_C]]]
    return groups_S


def _parts(
    row_IL: NDArray[np.signedinteger], text_hashes_R: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Yield hashes of passages [P], ascending, and the item of each [P]; equal hashes are in one part."""
    parts = -(-len(text_hashes_R) // _IN_A_PART)
    for part in range(parts):
        hashes, items = [], []
        for start in range(0, len(row_IL), _AT_ONCE):
            item_C, language_C = np.nonzero(row_IL[start : start + _AT_ONCE] >= 0)
            hashes_C = text_hashes_R[row_IL[start + item_C, language_C]]
            of_part = hashes_C % np.uint64(parts) == part
            hashes.append(hashes_C[of_part])
            items.append(start + item_C[of_part])
        hashes_P = np.concatenate(hashes)
        order_P = np.argsort(hashes_P)
        if len(order_P):
            yield hashes_P[order_P], np.concatenate(items)[order_P]
