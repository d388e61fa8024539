"""Texts made of numbers, for what only looks at lengths and ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybridbatch.evaluation.token_store import TokenStore


def texts_of(lengths: Sequence[int]) -> TokenStore:
    """Return texts of the given lengths whose tokens are all different."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.arange(1, offsets[-1] + 1, dtype=np.int32)
    return TokenStore(ids, offsets, np.arange(len(lengths), dtype=np.uint64), padding_id=0)
