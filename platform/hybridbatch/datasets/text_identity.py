"""When two texts count as the same text, whatever their case, punctuation and spacing."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

# A shorter text ("Introduction", "Summary", "In 1972") is shared by texts that have nothing to do with each other, so
# finding it twice is no evidence of a copy. In normalised characters; East Asian wide characters count twice, because
# they carry about twice as much.
LEAST_EVIDENCE = 16
ABSENT = np.uint64(0)  # the key of a text that is empty or too short to be compared


def normalised(text: str) -> str:
    """Return ``text`` in NFKC, case-folded, without punctuation, symbols, spaces and control characters.

    Combining marks stay: without the vowel signs of Hindi, Thai or Arabic, different words would become one.
    """
    kept = unicodedata.normalize("NFKC", text).casefold().translate(_ignored())
    return unicodedata.normalize("NFKC", kept)


def identity_keys(texts: Iterable[str], least: int = 1) -> NDArray[np.uint64]:
    """Return a 64-bit key for each of ``texts``: equal keys mean equal texts after normalisation.

    Args:
        texts: The texts.
        least: Texts with less than this (see :data:`LEAST_EVIDENCE`) get the key :data:`ABSENT`.
    """
    return np.fromiter((_key(normalised(text), least) for text in texts), dtype=np.uint64)


def is_evidence(text: str, least: int) -> bool:
    """Return whether a normalised text is long enough to be compared; wide characters count twice."""
    if len(text) >= least or 2 * len(text) < least:
        return len(text) >= least
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text) >= least


def _key(text: str, least: int) -> int:
    if not is_evidence(text, least):
        return int(ABSENT)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") or 1


@lru_cache(maxsize=1)
def _ignored() -> dict[int, None]:
    """Return the table that deletes what is ignored; ``str.translate`` is six times faster here than ``re``."""
    points = ((point, unicodedata.category(chr(point))) for point in range(sys.maxunicode + 1))
    return {point: None for point, category in points if category[0] in "PSZ" or category in ("Cc", "Cf")}
