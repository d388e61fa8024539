"""Words and their translations, from a dictionary: those that are trained on, and those that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hybridbatch.augmentation.dictionary import PIVOT, read_dictionary, unknown
from hybridbatch.foundation.errors import UserError, one_of
from hybridbatch.foundation.seeds import derive_seed

_FEWEST = 10  # words, of which a tenth is held out


@dataclass(frozen=True)
class WordPair:
    """An English word and its translation."""

    english: str
    language: str
    word: str

    @property
    def languages(self) -> tuple[str, str]:
        """The languages of both sides."""
        return PIVOT, self.language


def languages_of(dictionary: Path, languages: Sequence[str] | None) -> tuple[str, ...]:
    """Return the languages to use: those asked for, or all that the dictionary has.

    Raises:
        UserError: If the dictionary cannot be read or lacks one.
    """
    known = read_dictionary(dictionary).languages
    for language in languages or ():
        if language not in known:
            raise unknown("language not in the dictionary", dictionary, "languages", language, known)
    return known if languages is None else tuple(languages)


def word_pairs(
    dictionary: Path, languages: Sequence[str], *, most: int, held_out: int, seed: int
) -> tuple[list[WordPair], list[WordPair]]:
    """Return pairs to train on and pairs that are held out, which share no English word.

    Args:
        dictionary: A file of :func:`~hybridbatch.augmentation.dictionary.read_dictionary`.
        languages: Languages of the translations.
        most: Pairs to train on in each language.
        held_out: Pairs held out in each language.
        seed: Which words are chosen.

    Raises:
        UserError: If the dictionary cannot be read, or no words can be held out.
    """
    of_english = read_dictionary(dictionary).of_english
    drawn = sorted(of_english, key=lambda word: derive_seed(seed, "word", word))
    wanted = set(languages)
    drawn = [word for word in drawn if wanted & of_english[word].keys()]
    if len(drawn) < _FEWEST:
        raise UserError(
            "too few words to hold any out",
            file=dictionary,
            path="languages",
            seen=f"{len(drawn)} English words with a translation in {one_of(languages)}",
            allowed=f"at least {_FEWEST}",
        )
    # among few words the held-out ones take no more than a tenth
    border = min(held_out, len(drawn) // 10)
    return _pairs(drawn[border:], of_english, languages, most), _pairs(drawn[:border], of_english, languages, held_out)


def _pairs(
    words: Sequence[str], of_english: dict[str, dict[str, list[str]]], languages: Sequence[str], most: int
) -> list[WordPair]:
    found = []
    for language in languages:
        with_it = [word for word in words if language in of_english[word]]
        found += [WordPair(word, language, of_english[word][language][0]) for word in with_it[:most]]
    return found
