"""Text in which words of another language stand.

Source: Litschko et al., Boosting Zero-shot Cross-lingual Retrieval by Training on Artificially Code-Switched Data,
arXiv 2305.05295.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from hybridbatch.augmentation.dictionary import PIVOT, read_dictionary, unknown
from hybridbatch.augmentation.letters import base_language
from hybridbatch.augmentation.words import is_unspaced, with_words, words
from hybridbatch.foundation.registries import AUGMENTATIONS
from hybridbatch.spec.perturbations import Draws, TextPerturbation
from hybridbatch.spec.sources import DataLocation

Names = Annotated[tuple[str, ...], Field(min_length=1)]


@AUGMENTATIONS.register("code-switching")
class CodeSwitching(TextPerturbation):
    """Words replaced with their translation from a dictionary.

    Each word is looked up with probability ``strength``, whatever its case, and replaced with a translation; words
    that are not in the dictionary stay, so that fewer than the strength says are replaced. With one language this is
    the bilingual code-switching of arXiv 2305.05295, with several the multilingual one: every word draws its language
    anew. Texts in other languages than English are looked up from the other side of the dictionary, and translated to
    English or by way of English to a third language. Texts in scripts written without spaces stay: their words are
    not marked.

    Attributes:
        dictionary: Parquet file with the columns ``english``, ``language``, ``word``, ``source``, absolute or below the
            data folder.
        languages: The languages that words may come from; None means all of the dictionary, and English.
        sources: The sources of translations to use; None means all.
        per: ``word`` draws a language for every word, ``text`` one for a whole text.
    """

    kind: Literal["code-switching"] = "code-switching"
    dictionary: Annotated[str, Field(min_length=1)] = "dictionaries/english_to_many.parquet"
    languages: Names | None = None
    sources: Names | None = None
    per: Literal["word", "text"] = "word"

    description: ClassVar[str] = (
        "Words replaced with translations: the share of words that are looked up is the strength."
    )

    def located(self, location: DataLocation) -> Self:
        """Return these settings with the whole path of the dictionary, which is read here.

        Raises:
            UserError: If the dictionary is missing or broken, or has no such language or source.
        """
        file = location.resolve(self.dictionary).absolute()
        known = {*read_dictionary(file, self.sources).languages, PIVOT}
        for language in self.languages or ():
            if language not in known:
                raise unknown("language not in the dictionary", file, "languages", language, known)
        return self.model_copy(update={"dictionary": str(file)})

    def edited(self, text: str, language: str, draws: Draws) -> str:
        """Return ``text`` with words of other languages."""
        known = read_dictionary(Path(self.dictionary), self.sources)
        own = base_language(language)
        spans = words(text)
        ((of_text,),) = draws.uniform(1)
        switched = []
        for (start, end), (happens, which, where) in zip(spans, draws.uniform(len(spans), 3), strict=True):
            word = text[start:end]
            if happens < self.strength and not is_unspaced(word[0]):
                language_draw = of_text if self.per == "text" else which
                word = self._switched(word, known.translations(word, own), language_draw, where)
            switched.append(word)
        return with_words(text, spans, switched)

    def _switched(self, word: str, translations: dict[str, list[str]], which: float, where: float) -> str:
        """Return a translation of ``word``, in capitals or with one where the word is, or the word itself."""
        languages = sorted(one for one in translations if self.languages is None or one in self.languages)
        if not languages:
            return word
        choices = translations[languages[int(which * len(languages))]]
        chosen = choices[int(where * len(choices))]
        if len(word) > 1 and word.isupper():
            return chosen.upper()
        return chosen[:1].upper() + chosen[1:] if word[:1].isupper() else chosen
