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
        """Refuse training sets without a list, and more negatives for each pair than any list has.

        Raises:
            UserError: If it is so.
        """
        lists = [pairs.negatives for pairs in train if pairs.negatives is not None]
        if not lists:
            raise UserError(
                "no training set lists negatives",
                path="batches.hard_negatives.source",
                seen=", ".join(pairs.name for pairs in train),
                allowed="a parallel-pairs file (parquet or jsonl) with a column of lists of texts",
                remedy="name the column under data.train.N.columns.negatives, or mine negatives (source: mined)",
            )
        longest = max(one.longest for one in lists)
        if self.per_pair > longest:
            raise UserError(
                "more hard negatives for each pair than any row lists",
                path="batches.hard_negatives.per_pair",
                seen=self.per_pair,
                allowed=f"at most {longest}, the texts of the longest list",
            )

    def lists(self, context: ArmContext) -> Sequence[NegativeLists | None]:
        """Return the lists of every training set, None for a set without the column.

        Raises:
            UserError: As :meth:`check`.
        """
        from hybridbatch.training.listed_negatives import listed_negatives

        self.check(context.workshop.data(context.experiment.data).train, context.workshop.location)
        return listed_negatives(context)
