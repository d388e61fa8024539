"""given: hard negatives that the training file lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import NEGATIVES
from hybridbatch.training.negative_source import NegativeLists, NegativeSource

if TYPE_CHECKING:
    from hybridbatch.datasets.parallel_pairs import ParallelPairs
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.arm import ArmContext


@NEGATIVES.register("given")
class GivenNegatives(NegativeSource):
    """Hard negatives from a column of the training file, in the language of the pair's passage.

    A training set without such a column is trained on with in-batch negatives alone; one of them has to have it.
    """

    source: Literal["given"] = "given"

    description: ClassVar[str] = "Texts that the training file lists for each row (`columns.negatives`)."

    def check(self, train: Sequence[ParallelPairs], location: DataLocation) -> None:
        """Refuse training sets without a list.

        Raises:
            UserError: If no training set lists a negative.
        """
        if not any(pairs.lists_negatives and len(pairs.negative_texts) for pairs in train):
            raise UserError(
                "no training set lists negatives",
                path="batches.hard_negatives.source",
                seen=", ".join(pairs.name for pairs in train),
                allowed="a parallel-pairs file (parquet or jsonl) with a column of lists of texts",
                remedy="name the column under data.train.N.columns.negatives, or mine negatives (source: mined)",
            )

    def lists(self, context: ArmContext) -> Sequence[NegativeLists | None]:
        """Return the lists of every training set, None for a set without the column.

        Raises:
            UserError: If no training set lists a negative.
        """
        from hybridbatch.training.listed_negatives import ListedNegatives

        sets = context.workshop.training_tokens(context.experiment)
        self.check([tokens.pairs for tokens in sets], context.workshop.location)
        return [
            ListedNegatives(tokens, context.workshop.negative_tokens(context.experiment, tokens.pairs))
            if tokens.pairs.lists_negatives and len(tokens.pairs.negative_texts)
            else None
            for tokens in sets
        ]
