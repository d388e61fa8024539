"""A random-looking permutation of any size whose every value is computed on its own, without a shuffled list."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROUNDS = 6  # four suffice against an adversary who sees few values; small domains mix better with six


def keyed_permutation(index: ArrayLike, size: ArrayLike, key: ArrayLike) -> NDArray[np.int64]:
    """Return where ``index`` goes under the permutation of ``range(size)`` that ``key`` selects.

    A balanced Feistel network over the next even power of two, walked until the value falls inside ``size``
    (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). All arguments broadcast.

    Args:
        index: Values in ``[0, size)``.
        size: Sizes of the domains, at least 1 and below 2**62.
        key: Keys, any 64-bit whole numbers.

    Raises:
        ValueError: If an index lies outside its domain.
    """
    index_, size_, key_ = np.broadcast_arrays(
        np.asarray(index, np.int64), np.asarray(size, np.int64), np.asarray(key, np.uint64)
    )
    if np.any((index_ < 0) | (index_ >= size_)):
        raise ValueError("0 <= index < size must hold")
    shape = index_.shape
    value, limit, key_ = index_.astype(np.uint64).ravel(), size_.astype(np.uint64).ravel(), key_.ravel()
    half = _half_bits(size_.ravel())
    pending = np.arange(value.size)
    while pending.size:
        value[pending] = _feistel(value[pending], half[pending], key_[pending])
        pending = pending[value[pending] >= limit[pending]]
    return value.astype(np.int64).reshape(shape)


def _half_bits(size: NDArray[np.int64]) -> NDArray[np.uint64]:
    bits = np.ceil(np.log2(np.maximum(size, 2))).astype(np.int64)
    bits += (np.int64(1) << bits) < size  # log2 rounds for sizes near a power of two above 2**52
    return ((bits + 1) // 2).astype(np.uint64)


def _feistel(value: NDArray[np.uint64], half: NDArray[np.uint64], key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = value >> half, value & mask
    for round_ in range(_ROUNDS):
        left, right = right, left ^ (_mix(right ^ _mix(key + np.uint64(round_))) & mask)
    return (left << half) | right


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the SplitMix64 finaliser of ``value`` (Steele et al. 2014); products wrap on purpose."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
