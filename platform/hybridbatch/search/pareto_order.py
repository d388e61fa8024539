"""An order of trials by several objectives, from which rules for one objective can prune.

Letters in names: N trials, K objectives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.study._multi_objective import _calculate_nondomination_rank


def positions(values: Sequence[Sequence[float]], directions: Sequence[str]) -> list[int]:
    """Return for each trial how many stand before it.

    Trials are sorted by non-dominated fronts (Deb et al. 2002). Inside a front stands first the best by the first
    objective, then always the one that is farthest from those that stand already (epsilon-net order, Schmucker et al.,
    arXiv 2106.12639): whatever share of the order is kept, it is spread over the front. Distances are Euclidean,
    each objective divided by its range over the trials given, so that units do not count. With one objective this is
    the order of its values.

    Trials that are equal in every objective stand together. The order of ``values`` does not count. A trial with an
    objective that is NaN or infinite stands behind all others.

    Args:
        values: The objectives of each trial.
        directions: ``maximize`` or ``minimize`` for each objective.
    """
    signs_K = np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])
    losses_NK = np.asarray(values, dtype=np.float64).reshape(len(values), len(directions)) * signs_K
    known_N = np.isfinite(losses_NK).all(axis=1)
    found_N = np.full(len(losses_NK), int(known_N.sum()))
    if known_N.any():
        found_N[known_N] = _positions(losses_NK[known_N])
    return [int(position) for position in found_N]


def _positions(losses_NK: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many stand before each, of losses that are all finite."""
    # Sorted, so that whichever of two is as far away comes first does not depend on who reported first.
    unique_MK, which_N, counts_M = np.unique(losses_NK, axis=0, return_inverse=True, return_counts=True)
    fronts_M = _calculate_nondomination_rank(unique_MK)
    # Halves, since the difference of two large numbers of opposite signs may be no number.
    offsets_MK = unique_MK / 2 - unique_MK.min(axis=0) / 2
    spans_K = offsets_MK.max(axis=0)
    scaled_MK = offsets_MK / np.where(spans_K > 0, spans_K, 1.0)
    before_M = np.zeros(len(unique_MK), dtype=np.int64)
    standing = 0
    for front in range(int(fronts_M.max()) + 1):
        members = np.flatnonzero(fronts_M == front)
        for member in members[_farthest_first(scaled_MK[members])]:
            before_M[member] = standing
            standing += counts_M[member]
    return np.asarray(before_M[which_N.reshape(-1)])


def _farthest_first(points_NK: NDArray[np.float64]) -> list[int]:
    """Return an order that starts with the first point; each next one is the farthest from all before it."""
    order = [0]
    nearest_N = np.linalg.norm(points_NK - points_NK[0], axis=1)
    nearest_N[0] = -1.0  # stands already
    while len(order) < len(points_NK):
        chosen = int(np.argmax(nearest_N))
        order.append(chosen)
        nearest_N = np.minimum(nearest_N, np.linalg.norm(points_NK - points_NK[chosen], axis=1))
        nearest_N[order] = -1.0
    return order
