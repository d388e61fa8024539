"""Text in the wrong case."""

from __future__ import annotations

from typing import ClassVar, Literal

from hybridbatch.augmentation.letters import lowercase, uppercase
from hybridbatch.augmentation.words import with_chosen_words
from hybridbatch.foundation.registries import AUGMENTATIONS
from hybridbatch.spec.perturbations import Draws, TextPerturbation


@AUGMENTATIONS.register("case")
class Case(TextPerturbation):
    """Words in capitals, in small letters, or in any mixture of them.

    Each word changes with probability ``strength``; with ``random`` each letter does, to its other case. In Turkish and
    Azerbaijani i and İ, ı and I are pairs. Scripts without capitals stay as they are.

    Attributes:
        to: ``lower``, ``upper`` or ``random``.
    """

    kind: Literal["case"] = "case"
    to: Literal["lower", "upper", "random"] = "lower"

    description: ClassVar[str] = "Words in small letters (or capitals): the share of words is the strength."

    def edited(self, text: str, language: str, draws: Draws) -> str:
        """Return ``text`` in another case."""
        if self.to == "random":
            chosen = (happens < self.strength for (happens,) in draws.uniform(len(text)))
            return "".join(_other_case(c, language) if other else c for c, other in zip(text, chosen, strict=True))
        changed = lowercase if self.to == "lower" else uppercase
        return with_chosen_words(text, self.strength, draws, lambda word: changed(word, language))


def _other_case(letter: str, language: str) -> str:
    return lowercase(letter, language) if letter.isupper() else uppercase(letter, language)
