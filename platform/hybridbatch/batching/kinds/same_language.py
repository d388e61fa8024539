"""Each pair within one language, languages mixed inside the batch."""

from __future__ import annotations

from collections.abc import Sequence

from hybridbatch.batching.batch_kind import Counts, Integers, Masks, language_counts, nth_language
from hybridbatch.foundation.registries import BATCH_KINDS


class SameLanguage:
    """Each pair within one language, languages mixed inside the batch: X-X of LAReQA (arXiv 2004.05484).

    A model can learn here to reject negatives by their language alone, which makes language bias.
    """

    description = "each pair within one language, languages mixed inside the batch (X-X)"

    def batch_languages(self, languages: Sequence[str]) -> Sequence[str | None]:
        """Return None: pairs choose for themselves."""
        return [None]

    def pairs_per_item(self, masks_I: Masks, languages: Sequence[str], language: str | None) -> Counts:
        """Return the number of languages of each item."""
        return language_counts(masks_I)

    def pair(
        self, masks_B: Masks, index_B: Integers, languages: Sequence[str], language: str | None
    ) -> tuple[Integers, Integers]:
        """Return the ``index``-th language of each item, twice."""
        language_B = nth_language(masks_B, index_B)
        return language_B, language_B


BATCH_KINDS.register("same-language")(SameLanguage())
