"""English question, English passage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybridbatch.batching.batch_kind import Counts, Integers, Masks, has_language
from hybridbatch.foundation.registries import BATCH_KINDS


class English:
    """English question, English passage: En-En of LAReQA (arXiv 2004.05484)."""

    description = "English question, English passage (En-En)"

    def batch_languages(self, languages: Sequence[str]) -> Sequence[str | None]:
        """Return English."""
        return ["en"]

    def pairs_per_item(self, masks_I: Masks, languages: Sequence[str], language: str | None) -> Counts:
        """Return 1 for items in English."""
        return has_language(masks_I, languages, "en")

    def pair(
        self, masks_B: Masks, index_B: Integers, languages: Sequence[str], language: str | None
    ) -> tuple[Integers, Integers]:
        """Return English twice."""
        english_B = np.full(len(masks_B), languages.index("en"), dtype=np.int64)
        return english_B, english_B


BATCH_KINDS.register("english")(English())
