"""A random-looking permutation of any size whose every value is computed on its own, without a shuffled list."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GAMMA, _FIRST, _SECOND, _30, _27, _31 = (
    np.array(number, np.uint64) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 30, 27, 31)
)
_ROUNDS = np.arange(6, dtype=np.uint64)[:, None]  # four suffice against an adversary; small domains mix better with six


def keyed_permutation(index: ArrayLike, size: ArrayLike, key: ArrayLike) -> NDArray[np.int64]:
    """Return where ``index`` goes under the permutation of ``range(size)`` that ``key`` selects.

    A Feistel network over pairs of numbers below the root of ``size``, rounded up, walked until the value falls inside
    ``size`` (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). All arguments broadcast.

    Args:
        index: Values in ``[0, size)``.
        size: Sizes of the domains, at least 1 and at most 2**62.
        key: Keys, any 64-bit whole numbers.

    Raises:
        ValueError: If an index lies outside its domain.
    """
    index_, size_, key_ = np.broadcast_arrays(
        np.asarray(index, np.int64), np.asarray(size, np.int64), np.asarray(key, np.uint64)
    )
    if np.any((index_ < 0) | (index_ >= size_)):
        raise ValueError("0 <= index < size must hold")
    value, limit = index_.astype(np.uint64).ravel(), size_.astype(np.uint64).ravel()
    side, round_keys = _root(size_.ravel()), mix64(key_.ravel() + _ROUNDS)
    value = _feistel(value, side, round_keys)
    outside = np.flatnonzero(value >= limit)
    while outside.size:
        value[outside] = _feistel(value[outside], side[outside], round_keys[:, outside])
        outside = outside[value[outside] >= limit[outside]]
    return value.astype(np.int64).reshape(index_.shape)


def _root(size: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the smallest number whose square is at least ``size``."""
    root = np.ceil(np.sqrt(size)).astype(np.int64)
    root += root * root < size  # the root is rounded for sizes above 2**52
    return root.astype(np.uint64)


def _feistel(value: NDArray[np.uint64], side: NDArray[np.uint64], round_keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    left, right = value // side, value % side
    for round_key in round_keys:
        left, right = right, (left + mix64(right ^ round_key) % side) % side
    return left * side + right


def mix64(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the SplitMix64 finaliser of ``value`` (Steele et al. 2014), a hash; products wrap on purpose."""
    value = value + _GAMMA
    value = (value ^ (value >> _30)) * _FIRST
    value = (value ^ (value >> _27)) * _SECOND
    return value ^ (value >> _31)
