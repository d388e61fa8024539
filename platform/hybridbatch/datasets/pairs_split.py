"""A training and a selection part of one file of pairs that share no item and no text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.text_identity import ABSENT, LEAST_EVIDENCE, identity_keys
from hybridbatch.foundation.seeds import derive_seed

if TYPE_CHECKING:
    import pyarrow as pa


def dev_rows(table: pa.Table, share: float) -> NDArray[np.bool_]:
    """Return which rows are in the dev part.

    Items that share a passage, or a query long enough to mean something on its own, are linked (after normalisation, in
    any language, also a query of one with a passage of the other). All items that are linked, directly or over others,
    go to the same side, drawn by a hash of the smallest of their ids: it depends on the content of the file alone.

    Args:
        table: All rows of the file: ``item``, ``language``, ``query``, ``passage``.
        share: The probability of dev for each group of linked items.
    """
    items, item_of_row = _number(table.column("item"))
    passages = identity_keys(table.column("passage").to_pylist())
    queries = identity_keys(table.column("query").to_pylist(), least=LEAST_EVIDENCE)
    group_of_item = _groups(len(items), np.concatenate([item_of_row, item_of_row]), np.concatenate([passages, queries]))
    smallest: dict[int, str] = {}
    for item, group in zip(items, group_of_item.tolist(), strict=True):
        smallest[group] = min(item, smallest.get(group, item))
    in_dev = np.zeros(len(items), dtype=bool)
    for group, item in smallest.items():
        in_dev[group] = derive_seed("pairs-file-split", item) / 2**63 < share
    return np.asarray(in_dev[group_of_item][item_of_row])


def _number(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct texts and which of them stands in each row."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _groups(count: int, items: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the connected component of each of ``count`` items, where items with an equal key are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    items, keys = items[keys != ABSENT], keys[keys != ABSENT]
    texts, text_of = np.unique(keys, return_inverse=True)
    size = count + len(texts)
    edges = coo_array((np.ones(len(items), dtype=np.int8), (items, count + text_of)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    return np.asarray(component[:count], dtype=np.int64)
