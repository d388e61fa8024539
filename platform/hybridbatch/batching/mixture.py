"""What the mixture became: batches by kind and data set, pairs by language pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hybridbatch.batching.plan import Batch, PairSet


class MixtureCount:
    """Counts what the batches of a trial held."""

    def __init__(self, sets: Sequence[PairSet]) -> None:
        self._sets = tuple(sets)
        self.batches: Counter[str] = Counter()
        self.datasets: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()

    def add(self, batch: Batch) -> None:
        """Count one batch."""
        pair_set = self._sets[batch.dataset]
        self.batches[batch.kind] += 1
        self.datasets[pair_set.name] += 1
        width = len(pair_set.languages)
        codes, counts = np.unique(batch.question_language_B * width + batch.passage_language_B, return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            question, passage = divmod(code, width)
            self.pairs[f"{pair_set.languages[question]}-{pair_set.languages[passage]}"] += count
