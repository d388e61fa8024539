"""Neighbours of texts in a pool, by a retriever or at random.

Shape legend: X texts that are asked about, P texts of the pool, K neighbours, D width of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hybridbatch.evaluation.corpus_search import BestOfTiles, check_search
from hybridbatch.evaluation.exact_scores import lengths
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.seeds import derive_seed


def nearest(asked_XD: NDArray[np.float32], pool_PD: NDArray[np.float32], neighbours: int) -> NDArray[np.int64]:
    """Return the places [X, K] of the best of the pool by exact score, best first; of equals the lower place first.

    Raises:
        UserError: If an embedding is not finite.
    """
    check_search(asked_XD, pool_PD.shape[1], neighbours)
    if not np.isfinite(pool_PD).all():
        raise UserError("an embedding of the pool is not finite", remedy="the encoder has diverged")
    best = BestOfTiles(asked_XD, neighbours)
    best.add(0, pool_PD, float(lengths(pool_PD).max()))
    return best.best.index_QK


def drawn(names: Sequence[Sequence[str | int]], pool: int, neighbours: int, seed: int) -> NDArray[np.int64]:
    """Return places [X, K] of the pool drawn without repetition; they follow from seed and name alone.

    Args:
        names: What each text that is asked about is called.
        pool: Size P of the pool.
        neighbours: How many are drawn for each.
        seed: The seed.
    """
    rows = [
        np.random.default_rng(derive_seed(seed, "random neighbours", *name)).choice(pool, neighbours, replace=False)
        for name in names
    ]
    return np.array(rows, dtype=np.int64).reshape(len(names), neighbours)
