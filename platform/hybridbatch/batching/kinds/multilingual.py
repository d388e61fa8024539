"""Languages of question and passage drawn independently of each other."""

from __future__ import annotations

from collections.abc import Sequence

from hybridbatch.batching.batch_kind import Counts, Integers, Masks, language_counts, nth_language
from hybridbatch.foundation.registries import BATCH_KINDS


class Multilingual:
    """Languages of question and passage drawn independently: the same or different, mixed inside the batch."""

    description = "languages of question and passage drawn independently, mixed inside the batch"

    def batch_languages(self, languages: Sequence[str]) -> Sequence[str | None]:
        """Return None: pairs choose for themselves."""
        return [None]

    def pairs_per_item(self, masks_I: Masks, languages: Sequence[str], language: str | None) -> Counts:
        """Return the number of ordered pairs of languages of each item, equal ones included."""
        return language_counts(masks_I) ** 2

    def pair(
        self, masks_B: Masks, index_B: Integers, languages: Sequence[str], language: str | None
    ) -> tuple[Integers, Integers]:
        """Return the ``index``-th ordered pair of languages of each item."""
        counts_B = language_counts(masks_B)
        return nth_language(masks_B, index_B // counts_B), nth_language(masks_B, index_B % counts_B)


BATCH_KINDS.register("multilingual")(Multilingual())
