"""Words in the wrong order."""

from __future__ import annotations

from typing import ClassVar, Literal

from hybridbatch.augmentation.words import with_words, words
from hybridbatch.foundation.registries import AUGMENTATIONS
from hybridbatch.spec.perturbations import Draws, TextPerturbation


@AUGMENTATIONS.register("swapped-words")
class SwappedWords(TextPerturbation):
    """Neighbouring words that changed places; spaces and punctuation stay where they were.

    From the left, each word changes places with the next with probability ``strength``, unless it did with the one
    before: of a long text a share of 2 s / (1 + s) of the words moves, all of them at strength 1. In scripts written
    without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) written characters with their marks do it.
    """

    kind: Literal["swapped-words"] = "swapped-words"

    description: ClassVar[str] = (
        "Neighbouring words that changed places: 2 s / (1 + s) of the words move at strength s."
    )

    def edited(self, text: str, language: str, draws: Draws) -> str:
        """Return ``text`` with words in other places."""
        spans = words(text)
        order = list(range(len(spans)))
        swapped = False
        for at, (happens,) in enumerate(draws.uniform(len(spans))[:-1]):
            swapped = not swapped and happens < self.strength
            if swapped:
                order[at], order[at + 1] = at + 1, at
        return with_words(text, spans, (text[slice(*spans[other])] for other in order))
