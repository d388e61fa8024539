"""The batch of any step, planned: the same for any number of workers, and after any restart.

Shape legend: I items, B pairs of the global batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybridbatch.batching.batch_kind import Integers, Masks
from hybridbatch.batching.keyed_permutation import mix64
from hybridbatch.batching.rotation import Rotation
from hybridbatch.batching.streams import Stream, make_stream
from hybridbatch.batching.usable_items import UsableItems
from hybridbatch.foundation.errors import ConflictError
from hybridbatch.foundation.registries import BATCH_KINDS
from hybridbatch.foundation.seeds import derive_seed


@dataclass(frozen=True)
class PairSet:
    """What a plan needs to know of a training set.

    Attributes:
        name: Name for messages and the log of the mixture.
        languages: The languages in the order of the bits of the masks.
        masks_I: Languages of each item, one bit each, of any unsigned type with room for them.
    """

    name: str
    languages: tuple[str, ...]
    masks_I: Masks


@dataclass(frozen=True)
class Batch:
    """The global batch of one step: question and passage ``b`` are of item ``items_B[b]`` of training set ``dataset``.

    Attributes:
        kind: The batch kind.
        dataset: Index of the training set.
        items_B: Items, no one twice.
        question_language_B: Index into the set's languages.
        passage_language_B: Index into the set's languages.
        epoch_B: How often the stream that the pair is drawn from had visited its item before; None for a batch that was
            not planned.
    """

    step: int
    kind: str
    dataset: int
    items_B: Integers
    question_language_B: Integers
    passage_language_B: Integers
    epoch_B: Integers | None = None

    def shard(self, rank: int, workers: int) -> slice:
        """Return the rows of worker ``rank``: the global batch cut into equal parts."""
        part = len(self.items_B) // workers
        return slice(rank * part, (rank + 1) * part)


class BatchPlan:
    """The planned batches of a trial.

    Which stream (kind, data set, and language where the batch has one) a step belongs to follows the weights exactly
    (:class:`Rotation`); within a stream an epoch visits every item once (:class:`Stream`).

    Args:
        sets: The training sets.
        size: Pairs in the global batch.
        mix: Weight of each batch kind.
        size_exponent: A set is drawn with weight (items usable by the kind, each counted once) ** size_exponent.
        seed: Seed of the trial.

    Attributes:
        left_out: What is too small for a batch and thus in none, a line for each kind and training set, and language
            where a batch has one.
        streams: The streams that batches come from.
        rotation: Deals steps to streams.

    Raises:
        ConflictError: If no training set can fill a batch of one of the kinds.
    """

    def __init__(
        self, sets: Sequence[PairSet], *, size: int, mix: Mapping[str, float], size_exponent: float, seed: int
    ) -> None:
        self.sets, self.size = tuple(sets), size
        self.left_out: list[str] = []
        weights: list[float] = []
        self.streams: list[Stream] = []
        total = sum(mix.values())
        for kind_name in sorted(kind for kind, weight in mix.items() if weight > 0):
            by_set = self._streams_of_kind(kind_name, derive_seed(seed, "streams"))
            sizes = {index: UsableItems.in_any([stream.usable for stream in some]) for index, some in by_set.items()}
            shares = _shares(sizes, size_exponent)
            for index, streams in by_set.items():
                weights += [mix[kind_name] / total * shares[index] / len(streams)] * len(streams)
                self.streams += streams
        self.rotation = Rotation(weights, derive_seed(seed, "rotation"))

    def _streams_of_kind(self, kind_name: str, seed: int) -> dict[int, list[Stream]]:
        kind = BATCH_KINDS.get(kind_name)
        by_set: dict[int, list[Stream]] = defaultdict(list)
        largest = 0
        for index, pair_set in enumerate(self.sets):
            for language in kind.batch_languages(pair_set.languages):
                stream = make_stream(kind_name, kind, index, pair_set.languages, language, pair_set.masks_I, seed)
                largest = max(largest, stream.size)
                if stream.size >= self.size:
                    by_set[index].append(stream)
                else:
                    where = f"{pair_set.name} {language}" if language else pair_set.name
                    self.left_out.append(f"{kind_name}: {where} has {stream.size} items, a batch needs {self.size}")
        if not by_set:
            raise ConflictError(
                f"no training set can fill a {kind_name} batch ({kind.description})",
                path=f"batches.mix.{kind_name}",
                seen=f"at most {largest} usable items, batches.size {self.size}",
                allowed="batches no larger than the usable items of a training set",
                remedy="make batches.size smaller, name more data or languages, or leave this kind out of the mix",
            )
        return by_set

    def batch(self, step: int) -> Batch:
        """Return the global batch of ``step`` (from 0), without looking at any step before it."""
        index = self.rotation.stream(step)
        stream = self.streams[index]
        number = self.rotation.count(index, step)
        items_B, question_B, passage_B = stream.batch(number, self.size)
        epoch_B = (number * self.size + np.arange(self.size)) // stream.size
        order_key = np.uint64(derive_seed(stream.seed, "order", step))
        order_B = np.argsort(mix64(items_B.astype(np.uint64) ^ order_key))  # or a worker would see neighbours only
        drawn = (one[order_B] for one in (items_B, question_B, passage_B, epoch_B))
        return Batch(step, stream.kind_name, stream.dataset, *drawn)

    def epochs(self, steps: int) -> dict[str, float]:
        """Return how often each data set's items are visited by each kind in ``steps`` steps, on average."""
        visited: dict[str, list[float]] = defaultdict(list)
        for index, stream in enumerate(self.streams):
            name = f"{stream.kind_name} {self.sets[stream.dataset].name}"
            visited[name].append(self.rotation.count(index, steps) * self.size / stream.size)
        return {name: sum(values) / len(values) for name, values in visited.items()}


def _shares(sizes: Mapping[int, int], exponent: float) -> dict[int, float]:
    powers = {index: size**exponent for index, size in sizes.items()}
    total = sum(powers.values())
    return {index: power / total for index, power in powers.items()}
