"""Finds which of many texts stand inside other texts, without keeping any of them in memory.

Every text has a polynomial hash, modulo 2^64, of its characters; that of any part of a text follows from running sums.
A text is looked for by the hash of its first :data:`WINDOW` characters at every position, and confirmed by the hash of
all of its characters. Source: Karp and Rabin, Efficient randomized pattern-matching algorithms, 1987.

Shape legend: W wanted texts, C characters of a chunk of texts, T texts of a chunk, H hits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Shorter texts are only compared with whole texts: a name or a date stands inside many others by chance. In characters.
WINDOW = 24
SIEVE_BITS = 20  # of a hash: the sieve of first windows has a million places and stays in the processor's cache
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SEPARATOR = "\n"  # stands in no normalised text

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Chunk:
    """Texts one after the other, with what the hash of any part follows from.

    Attributes:
        sums_C: Running sums of the weighted characters, one more than characters.
        starts_T: First character of each text.
        lengths_T: Characters of each text.
    """

    sums_C: Hashes
    starts_T: NDArray[np.int64]
    lengths_T: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Chunk:
        """Return the chunk of normalised ``texts``."""
        lengths_T = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
        joined = _SEPARATOR.join([*texts, ""]).encode("utf-32-le")
        mixed_C = np.frombuffer(joined, np.uint32).astype(np.uint64) * _MIX
        mixed_C = (mixed_C ^ (mixed_C >> np.uint64(29))) * _MIX
        sums_C = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed_C * _powers(_BASE, len(mixed_C)))])
        return cls(sums_C, np.concatenate([[0], np.cumsum(lengths_T + 1)[:-1]]).astype(np.int64), lengths_T)

    def hashes(self, starts: NDArray[np.int64], lengths: NDArray[np.int64] | int) -> Hashes:
        """Return the hashes of the parts with these starts and lengths; a part must not reach beyond the chunk."""
        inverse_C = _powers(pow(_BASE, -1, 1 << 64), len(self.sums_C))
        return np.asarray((self.sums_C[starts + lengths] - self.sums_C[starts]) * inverse_C[starts])

    @property
    def wholes_T(self) -> Hashes:
        """The hash of each text."""
        return self.hashes(self.starts_T, self.lengths_T)


@dataclass(frozen=True)
class WantedTexts:
    """The texts that are looked for, each once.

    Attributes:
        wholes_W: Hash of each text, ascending.
        long_H: Which of them are looked for inside other texts, ascending by the hash of their first window.
        windows_H: That hash.
        lengths_H: Their numbers of characters.
        sieve: Whether a first window has these leading bits.
        rows_W: Where each text stands among the texts given.
    """

    wholes_W: Hashes
    long_H: NDArray[np.int64]
    windows_H: Hashes
    lengths_H: NDArray[np.int64]
    sieve: NDArray[np.bool_]
    rows_W: NDArray[np.int64]

    @classmethod
    def of(cls, wholes: Hashes, windows: Hashes, lengths: NDArray[np.int64], rows: NDArray[np.int64]) -> WantedTexts:
        """Return the distinct ones of the texts with these hashes, first windows (0 if shorter), lengths and rows."""
        wholes_W, first_W = np.unique(wholes, return_index=True)
        windows_W, lengths_W = windows[first_W], lengths[first_W]
        long_H = np.flatnonzero(lengths_W >= WINDOW)
        long_H = long_H[np.argsort(windows_W[long_H], kind="stable")]
        sieve = np.zeros(1 << SIEVE_BITS, dtype=bool)
        sieve[_leading(windows_W[long_H])] = True
        return cls(wholes_W, long_H, windows_W[long_H], lengths_W[long_H], sieve, rows[first_W])

    def found_in(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return which wanted texts (0 to W - 1, ascending) equal a text of the chunk or stand inside one."""
        whole = np.flatnonzero(np.isin(self.wholes_W, chunk.wholes_T))
        return np.union1d(whole, self._inside(chunk))

    def _inside(self, chunk: Chunk) -> NDArray[np.int64]:
        end = len(chunk.sums_C) - 1
        if end < WINDOW or not len(self.long_H):
            return np.empty(0, np.int64)
        at = np.arange(end - WINDOW + 1)
        windows = chunk.hashes(at, WINDOW)
        at = at[self.sieve[_leading(windows)]]
        low = np.searchsorted(self.windows_H, windows[at], side="left")
        counts = np.searchsorted(self.windows_H, windows[at], side="right") - low
        # every position with every wanted text that begins with the window there
        starts = np.repeat(at, counts)
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        candidates = np.repeat(low, counts) + offsets
        fits = starts + self.lengths_H[candidates] <= end
        starts, candidates = starts[fits], candidates[fits]
        wanted = self.long_H[candidates]
        same = chunk.hashes(starts, self.lengths_H[candidates]) == self.wholes_W[wanted]
        return np.unique(wanted[same])


def _leading(hashes: Hashes) -> NDArray[np.int64]:
    return (hashes >> np.uint64(64 - SIEVE_BITS)).astype(np.int64)


def _powers(base: int, count: int) -> Hashes:
    """Return ``base`` to the powers 0 to ``count`` - 1, modulo 2^64."""
    return _all_powers(base, 1 << max(count - 1, 1).bit_length())[:count]


@lru_cache(maxsize=8)
def _all_powers(base: int, count: int) -> Hashes:
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors)
