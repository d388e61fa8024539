"""What sources of hard negatives have in common: their settings, and for each pair a list of passages.

Shape legend: B pairs of the global batch, K places of a list, R rows of a training set, S texts of a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

from pydantic import Field

from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hybridbatch.batching.plan import Batch
    from hybridbatch.datasets.parallel_pairs import ParallelPairs
    from hybridbatch.evaluation.token_store import TokenStore
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.arm import ArmContext


class NegativeLists(Protocol):
    """The lists of one training set.

    Attributes:
        store: The texts that may be listed, as tokens.
        groups_S: The group of items (:attr:`TokenisedPairs.passage_groups_I`) that a text is a passage of, -1 for none.
        record: What is worth recording with a trial, such as how many were left out.
    """

    store: TokenStore
    groups_S: NDArray[np.int64]
    record: Mapping[str, int]

    def of_batch(self, batch: Batch) -> NDArray[np.int64]:
        """Return the list of each pair, best first, as texts of the store [B, K]; -1 behind the end of a list."""

    def texts(self, chosen: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        """Return chosen texts of the store, and the language of each."""


class NegativeSource(Settings):
    """The settings that every source of hard negatives has.

    Attributes:
        source: The registered name.
        per_pair: Hard negatives of each pair of a batch; all questions of the batch choose among all of them.
    """

    source: str
    per_pair: Annotated[int, Field(ge=1)] = 1

    description: ClassVar[str]

    def check(self, train: Sequence[ParallelPairs], location: DataLocation) -> None:
        """Refuse what no trial could start with.

        Raises:
            UserError: If the training sets, or a model, do not have what is asked for.
        """

    def lists(self, context: ArmContext) -> Sequence[NegativeLists | None]:
        """Return the lists of every training set, None for a set that has none.

        Raises:
            UserError: As :meth:`check`.
        """
        raise TypeError(f"{type(self).__name__} must say what its lists are")
