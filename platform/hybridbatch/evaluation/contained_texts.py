"""Finds which of many texts are whole sentences of other texts, without keeping any of them in memory.

Every text has a polynomial hash, modulo 2^64, of its characters; that of any part of a text follows from running sums.
A text is looked for by the hash of its first :data:`WINDOW` characters wherever a sentence begins, and confirmed by the
hash of all of its characters, which must end where a sentence ends.
Source: Karp and Rabin, Efficient randomized pattern-matching algorithms, 1987.

Shape legend: W wanted texts, H those of them with a window, C characters of a chunk of texts, T texts of a chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.text_identity import normalised

# Shorter texts are only compared with whole texts: "Not in citation given." is a sentence of many. In characters.
WINDOW = 24
# Where a sentence may end. Thai has no full stop: a space after a Thai letter does its work.
SENTENCE_END = re.compile(r"[.!?…;\n\u037e\u061f\u06d4\u0964\u3002\uff01\uff0e\uff1b\uff1f]+|(?<=[\u0e00-\u0e7f])\s+")
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SEPARATOR = "\n"  # stands in no normalised text

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]


def normalised_sentences(text: str) -> list[str]:
    """Return the sentences of ``text``, normalised; joined they are what texts are compared by."""
    return [normalised(sentence) for sentence in SENTENCE_END.split(text)]


@dataclass(frozen=True)
class Chunk:
    """Texts one after the other, with what the hash of any part follows from.

    Attributes:
        sums_C: Running sums of the weighted characters (uint64, one more than characters).
        border_C: Whether a sentence begins or ends before each character (one more than characters).
        starts_T: First character of each text.
        lengths_T: Characters of each text.
    """

    sums_C: Hashes
    border_C: NDArray[np.bool_]
    starts_T: Numbers
    lengths_T: Numbers

    @classmethod
    def of(cls, texts: Iterable[list[str]]) -> Chunk:
        """Return the chunk of texts, each given as its normalised sentences."""
        parts = [part for sentences in texts for part in (*sentences, _SEPARATOR)]
        is_separator = np.fromiter((part is _SEPARATOR for part in parts), dtype=bool, count=len(parts))
        ends = np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)))
        starts_T = np.concatenate([[0], ends[is_separator]])[:-1].astype(np.int64)
        mixed_C = np.frombuffer("".join(parts).encode("utf-32-le"), np.uint32).astype(np.uint64) * _MIX
        mixed_C = (mixed_C ^ (mixed_C >> np.uint64(29))) * _MIX
        sums_C = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed_C * _powers(_BASE, len(mixed_C)))])
        border_C = np.zeros(len(sums_C), dtype=bool)
        border_C[0] = border_C[ends] = True
        return cls(sums_C, border_C, starts_T, ends[is_separator] - 1 - starts_T)

    def hashes(self, starts: Numbers, lengths: Numbers | int) -> Hashes:
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
        rows_W: Where each text stands among the texts given.
        wanted_H: Which of them are looked for inside other texts, ascending by the hash of their first window.
        windows_H: That hash.
        lengths_H: Their numbers of characters.
    """

    wholes_W: Hashes
    rows_W: Numbers
    wanted_H: Numbers
    windows_H: Hashes
    lengths_H: Numbers

    @classmethod
    def of(cls, wholes: Hashes, windows: Hashes, lengths: Numbers, rows: Numbers) -> WantedTexts:
        """Return the distinct ones of the texts with these hashes, hashes of first windows, lengths and rows."""
        wholes_W, first_W = np.unique(wholes, return_index=True)
        windows_W, lengths_W = windows[first_W], lengths[first_W]
        wanted_H = np.flatnonzero(lengths_W >= WINDOW)
        wanted_H = wanted_H[np.argsort(windows_W[wanted_H], kind="stable")]
        return cls(wholes_W, rows[first_W], wanted_H, windows_W[wanted_H], lengths_W[wanted_H])

    def found_in(self, chunk: Chunk) -> Numbers:
        """Return which wanted texts (0 to W - 1, ascending) equal a text of the chunk or are sentences of one."""
        whole = np.flatnonzero(np.isin(self.wholes_W, chunk.wholes_T))
        return np.union1d(whole, self._inside(chunk))

    def _inside(self, chunk: Chunk) -> Numbers:
        end = len(chunk.sums_C) - 1
        at = np.flatnonzero(chunk.border_C[: max(0, end - WINDOW + 1)])
        windows = chunk.hashes(at, WINDOW)
        low = np.searchsorted(self.windows_H, windows, side="left")
        counts = np.searchsorted(self.windows_H, windows, side="right") - low
        # every position with every wanted text that begins with the window there
        starts = np.repeat(at, counts)
        texts = np.repeat(low, counts) + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        ends = starts + self.lengths_H[texts]
        fits = ends <= end
        fits[fits] = chunk.border_C[ends[fits]]
        starts, texts = starts[fits], texts[fits]
        wanted = self.wanted_H[texts]
        return np.unique(wanted[chunk.hashes(starts, self.lengths_H[texts]) == self.wholes_W[wanted]])


def _powers(base: int, count: int) -> Hashes:
    """Return ``base`` to the powers 0 to ``count`` - 1, modulo 2^64."""
    return _all_powers(base, 1 << max(count - 1, 1).bit_length())[:count]


@lru_cache(maxsize=8)
def _all_powers(base: int, count: int) -> Hashes:
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors)
