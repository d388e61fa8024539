"""mined: hard negatives that a retriever takes for answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from hybridbatch.foundation.registries import NEGATIVES
from hybridbatch.spec.settings import rejected
from hybridbatch.training.negative_source import NegativeLists, NegativeSource

if TYPE_CHECKING:
    from hybridbatch.datasets.parallel_pairs import ParallelPairs
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.arm import ArmContext


@NEGATIVES.register("mined")
class MinedNegatives(NegativeSource):
    """Passages of the training set that a model ranks high for a question and that do not answer it.

    Each question searches the passages of its own language, exactly. Passages of its own item, and of items that share
    a passage with it in whatever language, are no negatives. What remains is filtered as in NV-Retriever (arXiv
    2407.15831): a passage that scores almost like the own one is likely an answer that nobody marked. The negative of a
    pair is then the mined item's passage in the language of the pair's passage where it exists, else in that of the
    question.

    Attributes:
        model: Folder or hub name of the model that mines; a relative folder starts from the data folder. Null takes the
            backbone as it is before training.
        depth: The best passages of a question that are looked at, its own among them.
        skip: Of these, other than its own, so many first ones are left out.
        margin: A negative scores at most the question's own passage less this (NV-Retriever's MarginPos); null for no
            such limit.
        relative_margin: A negative scores at most the own passage's score less this share of it: 0.05 is 95%, as in
            NV-Retriever's PercPos; null for no such limit.
        keep: Of what passes, so many best ones are used, in turn from visit to visit.
    """

    source: Literal["mined"] = "mined"
    model: Annotated[str, Field(min_length=1)] | None = None
    depth: Annotated[int, Field(ge=1, le=10_000)] = 100
    skip: Annotated[int, Field(ge=0)] = 0
    margin: Annotated[float, Field(ge=0, le=2)] | None = None
    relative_margin: Annotated[float, Field(ge=0, lt=1)] | None = 0.05
    keep: Annotated[int, Field(ge=1)] = 10

    description: ClassVar[str] = "Passages that a model, or the backbone itself, ranks high for a question."

    @model_validator(mode="after")
    def _enough_can_remain(self) -> MinedNegatives:
        for limit, most in (("keep", self.keep), ("depth - skip", self.depth - self.skip)):
            if self.per_pair > most:
                raise rejected(
                    f"more hard negatives for each pair than {limit} leaves",
                    at="per_pair",
                    seen={"per_pair": self.per_pair, "keep": self.keep, "depth": self.depth, "skip": self.skip},
                    allowed=f"per_pair at most {limit}, {most}",
                )
        return self

    def check(self, train: Sequence[ParallelPairs], location: DataLocation) -> None:
        """Refuse a model that is not there or does not know a language; its tokenizer is loaded.

        Raises:
            UserError: If it is so.
        """
        from hybridbatch.training.mining_model import check_model

        if self.model is not None:
            check_model(self.model, train, location)

    def lists(self, context: ArmContext) -> Sequence[NegativeLists | None]:
        """Return the lists of every training set, mined when that was not done before.

        Raises:
            UserError: If the model cannot be loaded.
        """
        from hybridbatch.training.mined_negatives import mined_negatives

        return mined_negatives(self, context)
