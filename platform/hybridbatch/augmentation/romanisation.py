"""Text in Latin letters, as people type who have no other keyboard."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import ClassVar, Literal

from hybridbatch.augmentation.words import with_chosen_words
from hybridbatch.foundation.registries import AUGMENTATIONS
from hybridbatch.spec.perturbations import Draws, TextPerturbation

# anyascii leaves alef out and writes hamza on a carrier as an apostrophe.
_ARABIC = str.maketrans({"ا": "a", "أ": "a", "إ": "i", "آ": "aa"})
_THAI_VOWEL_BEFORE_CONSONANT = re.compile("([เ-ไ])([ก-ฮ])")  # it is spoken after the consonant
# The blocks of Devanagari, Bengali, Gurmukhi, Gujarati, Oriya, Tamil, Telugu, Kannada and Malayalam have one plan, that
# of ISCII: these are offsets in it.
_INDIC_FIRST, _INDIC_LAST, _INDIC_BLOCK = 0x0900, 0x0D7F, 0x80
_CONSONANTS, _NUKTA, _VOWEL_SIGNS_AND_VIRAMA = range(0x15, 0x3A), 0x3C, range(0x3E, 0x4E)
_FINAL_VOWEL_IS_SILENT = range(0x0900, 0x0B00)  # in Hindi, Bengali, Punjabi and Gujarati


@AUGMENTATIONS.register("romanisation")
class Romanisation(TextPerturbation):
    """Words in Latin letters, without diacritics (ASCII).

    Each word that is not ASCII is transliterated with probability ``strength``, by anyascii: character by character
    after the usual romanisation of its script. Beyond that the inherent vowel of Indic scripts is written (not at the
    end of a word in Hindi, Bengali, Punjabi, Gujarati), alef is written, and Thai vowels come after the consonant
    that they stand before. Short vowels of Arabic and Hebrew are not written, so they do not appear. Chinese is
    romanised by character (pinyin without tones, Japanese characters too), Thai by written character. Punctuation and
    emoji stay.
    """

    kind: Literal["romanisation"] = "romanisation"

    description: ClassVar[str] = "Words transliterated to ASCII: the share of words is the strength."

    def edited(self, text: str, language: str, draws: Draws) -> str:
        """Return ``text`` with words in Latin letters."""
        return with_chosen_words(text, self.strength, draws, romanised)


@lru_cache(maxsize=1 << 16)
def romanised(word: str) -> str:
    """Return a word in ASCII; one for which there is no transliteration as it is."""
    if word.isascii():
        return word
    from anyascii import anyascii  # its tables are read when they are needed

    spoken = _THAI_VOWEL_BEFORE_CONSONANT.sub(r"\2\1", _with_inherent_vowels(unicodedata.normalize("NFC", word)))
    latin = anyascii(spoken.translate(_ARABIC))
    if word.lower() == word.upper():  # syllables of Han and Hangul come with capitals
        latin = latin.lower()
    return latin or word


def _with_inherent_vowels(word: str) -> str:
    """Return ``word`` with an a after every Indic consonant that has no other vowel."""
    parts = []
    for at, character in enumerate(word):
        parts.append(character)
        if not _is_consonant(word, at):
            continue
        after = at + 1
        if _offset(word, after) == _NUKTA:
            continue  # the a follows the nukta
        last = after == len(word)
        silent = last and ord(character) in _FINAL_VOWEL_IS_SILENT and at > 1
        if not silent and _offset(word, after) not in _VOWEL_SIGNS_AND_VIRAMA:
            parts.append("a")
    return "".join(parts)


def _is_consonant(word: str, at: int) -> bool:
    """Return whether a consonant, with its nukta if it has one, ends here."""
    return _offset(word, at) in _CONSONANTS or (_offset(word, at) == _NUKTA and _offset(word, at - 1) in _CONSONANTS)


def _offset(word: str, at: int) -> int:
    """Return the place of a character in its Indic block, -1 for any other and beyond the word."""
    if not 0 <= at < len(word) or not _INDIC_FIRST <= ord(word[at]) <= _INDIC_LAST:
        return -1
    return ord(word[at]) % _INDIC_BLOCK
