"""A training and a selection part of one file of pairs that share no item and no text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.text_identity import ABSENT, LEAST_EVIDENCE, identity_keys
from hybridbatch.foundation.seeds import derive_seed

if TYPE_CHECKING:
    import pyarrow as pa


def dev_rows(parts: Iterable[pa.Table], share: float) -> NDArray[np.bool_]:
    """Return which rows are in the dev part.

    Items that share a passage, or a query long enough to mean something on its own, are linked (after normalisation, in
    any language, also a query of one with a passage of the other). All items that are linked, directly or over others,
    go to the same side. Groups are taken in an order drawn by a hash of the smallest of their ids, as long as they fit:
    the outcome depends on the content of the file alone. Of the texts only keys are kept, 16 bytes a row, beside the
    ids of the items.

    Args:
        parts: All rows of the file: ``item``, ``language``, ``query``, ``passage``.
        share: Share of the items in dev; as near below it as whole groups allow, but one group at least where there are
            two, and never all.
    """
    ids, passages, queries = [], [], []
    for part in parts:
        ids.append(part.column("item"))
        passages.append(identity_keys(part.column("passage").to_pylist()))
        queries.append(identity_keys(part.column("query").to_pylist(), least=LEAST_EVIDENCE))
    items, item_of_row = _number(ids)
    group_of_item = linked_items(
        len(items), np.concatenate([item_of_row, item_of_row]), np.concatenate([*passages, *queries])
    )
    smallest: dict[int, str] = {}
    for item, group in zip(items, group_of_item.tolist(), strict=True):
        smallest[group] = min(item, smallest.get(group, item))
    order = sorted(smallest, key=lambda group: derive_seed("pairs-file-split", smallest[group]))
    chosen = _fitting(order, np.bincount(group_of_item), share)
    return np.asarray(np.isin(group_of_item, chosen)[item_of_row])


def _fitting(order: list[int], sizes: NDArray[np.int64], share: float) -> list[int]:
    """Return the groups that fit, one after the other, into ``share`` of all items."""
    count = int(sizes.sum())
    room = min(max(round(share * count), 1), count - 1)
    chosen = []
    for group in order:
        if sizes[group] <= room:
            chosen.append(group)
            room -= int(sizes[group])
    if not chosen and len(order) > 1:
        chosen = [min(order, key=lambda group: sizes[group])]
    return chosen


def _number(columns: Iterable[pa.ChunkedArray]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct texts and which of them stands in each row."""
    import pyarrow as pa

    texts = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
    encoded = texts.cast(pa.large_string()).combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def linked_items(count: int, items: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the group of each of ``count`` items: items with an equal key are linked, directly or over others.

    Args:
        count: Number of items.
        items: The item that each of ``keys`` belongs to.
        keys: What items share, such as :func:`~hybridbatch.datasets.text_identity.identity_keys` of their texts.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    items, keys = items[keys != ABSENT], keys[keys != ABSENT]
    texts, text_of = np.unique(keys, return_inverse=True)
    size = count + len(texts)
    edges = coo_array((np.ones(len(items), dtype=np.int8), (items, count + text_of)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    return np.asarray(component[:count], dtype=np.int64)
