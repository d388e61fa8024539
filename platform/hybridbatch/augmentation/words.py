"""Where the words of a text are, in any script.

A word is a run of letters, marks and digits, with apostrophes and joiners inside it. In scripts that are written
without spaces (Han, kana, Thai, Lao, Khmer, Burmese) finding words takes a dictionary; there a *written character*
with its marks and vowels stands in for a word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridbatch.spec.perturbations import Draws

# Thai, Lao, Tibetan, Burmese, Khmer, kana, Han with its extensions.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3041, 0x30FF),
    (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9D), (0x20000, 0x323AF),
)  # fmt: skip
_BEFORE_ITS_CONSONANT = "เแโใไເແໂໃໄ"  # vowels of Thai and Lao
_AFTER_ITS_CONSONANT = "ะาำๅະາຳー"
_STACKING = "\u1039\u17d2"  # the next consonant stands below
_INSIDE = "'’\u200c\u200d"  # apostrophes, and the joiners of Persian and Indic scripts


def words(text: str) -> list[tuple[int, int]]:
    """Return where each word of ``text`` begins and ends."""
    spans = []
    at = 0
    while at < len(text):
        end = at + 1
        if is_unspaced(text[at]):
            end = _written_character_end(text, at)
        elif not _belongs(text[at]):
            at += 1
            continue
        else:
            while end < len(text) and _goes_on(text, end):
                end += 1
        spans.append((at, end))
        at = end
    return spans


def with_words(text: str, spans: Sequence[tuple[int, int]], replacements: Iterable[str]) -> str:
    """Return ``text`` with another text in the place of each word; what is between words stays."""
    parts, done = [], 0
    for (start, end), word in zip(spans, replacements, strict=True):
        parts += [text[done:start], word]
        done = end
    return "".join([*parts, text[done:]])


def with_chosen_words(text: str, share: float, draws: Draws, change: Callable[[str], str]) -> str:
    """Return ``text`` with ``change`` made to each word with probability ``share``."""
    spans = words(text)
    drawn = zip((text[slice(*span)] for span in spans), draws.uniform(len(spans)), strict=True)
    return with_words(text, spans, (change(word) if happens < share else word for word, (happens,) in drawn))


@lru_cache(maxsize=1 << 16)
def is_unspaced(character: str) -> bool:
    """Return whether ``character`` is a letter of a script that is written without spaces."""
    point = ord(character)
    return _belongs(character) and any(first <= point <= last for first, last in _UNSPACED)


@lru_cache(maxsize=1 << 16)
def _belongs(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _goes_on(text: str, at: int) -> bool:
    if text[at] in _INSIDE:
        return at + 1 < len(text) and _belongs(text[at + 1]) and not is_unspaced(text[at + 1])
    return _belongs(text[at]) and not is_unspaced(text[at])


def _written_character_end(text: str, at: int) -> int:
    end = at + 1
    if text[at] in _BEFORE_ITS_CONSONANT and end < len(text) and is_unspaced(text[end]):
        end += 1
    while end < len(text):
        stacked = text[end - 1] in _STACKING and is_unspaced(text[end])
        if not (stacked or text[end] in _AFTER_ITS_CONSONANT or unicodedata.category(text[end])[0] == "M"):
            break
        end += 1
    return end
