"""In each pair, question and passage in two different languages."""

from __future__ import annotations

from collections.abc import Sequence

from hybridbatch.batching.batch_kind import Counts, Integers, Masks, language_counts, nth_language
from hybridbatch.foundation.registries import BATCH_KINDS


class Crosslingual:
    """In each pair, question and passage in two different languages: X-Y (arXiv 2004.05484, 2408.10536)."""

    description = "question and passage in two different languages (X-Y)"

    def batch_languages(self, languages: Sequence[str]) -> Sequence[str | None]:
        """Return None: pairs choose for themselves."""
        return [None]

    def pairs_per_item(self, masks_I: Masks, languages: Sequence[str], language: str | None) -> Counts:
        """Return the number of ordered pairs of two languages of each item."""
        counts_I = language_counts(masks_I)
        return counts_I * (counts_I - 1)

    def pair(
        self, masks_B: Masks, index_B: Integers, languages: Sequence[str], language: str | None
    ) -> tuple[Integers, Integers]:
        """Return the ``index``-th ordered pair of two different languages of each item."""
        others_B = language_counts(masks_B) - 1
        question_B, passage_B = index_B // others_B, index_B % others_B
        passage_B = passage_B + (passage_B >= question_B)
        return nth_language(masks_B, question_B), nth_language(masks_B, passage_B)


BATCH_KINDS.register("crosslingual")(Crosslingual())
