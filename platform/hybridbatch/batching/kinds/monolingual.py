"""The whole batch in one language."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybridbatch.batching.batch_kind import Counts, Integers, Masks, has_language
from hybridbatch.foundation.registries import BATCH_KINDS


class Monolingual:
    """The whole batch in one language, languages drawn equally: X-X-mono (arXiv 2004.05484, 2408.10536)."""

    description = "the whole batch in one language, languages equally often (X-X-mono)"

    def batch_languages(self, languages: Sequence[str]) -> Sequence[str | None]:
        """Return every language: each has batches of its own."""
        return languages

    def pairs_per_item(self, masks_I: Masks, languages: Sequence[str], language: str | None) -> Counts:
        """Return 1 for items in ``language``."""
        return has_language(masks_I, languages, str(language))

    def pair(
        self, masks_B: Masks, index_B: Integers, languages: Sequence[str], language: str | None
    ) -> tuple[Integers, Integers]:
        """Return ``language`` twice."""
        language_B = np.full(len(masks_B), languages.index(str(language)), dtype=np.int64)
        return language_B, language_B


BATCH_KINDS.register("monolingual")(Monolingual())
