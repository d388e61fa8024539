"""Text without labels, for stages that learn from text alone: what a registered data set has to read.

Shape legend: N texts or items, I items, L languages, B texts of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.batching.keyed_permutation import keyed_permutation, mix64
from hybridbatch.datasets.arrow_cache import column_of, values_of
from hybridbatch.evaluation.token_store import TokenStore, joined, tokenized
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.sources import DataLocation, SourceSettings
from hybridbatch.training.arm import ArmContext, errors_below

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class ReadableText:
    """The text of a data set.

    Attributes:
        name: The data set, as shown to people.
        rows: Memory-mapped table.
        column: Its column of texts; another one is ``language``.
        languages: Its languages.
        fingerprint: Fingerprint of the content.
    """

    name: str
    rows: Dataset
    column: str
    languages: tuple[str, ...]
    fingerprint: str

    @cached_property
    def row_IL(self) -> NDArray[np.int64]:
        """The row of each item in each language, -1 where it does not exist in it."""
        items, languages = (column_of(self.rows, name).to_pylist() for name in ("item", "language"))
        place_of = {item: place for place, item in enumerate(dict.fromkeys(items))}
        row_IL = np.full((len(place_of), len(self.languages)), -1, dtype=np.int64)
        for row, (item, language) in enumerate(zip(items, languages, strict=True)):
            if language in self.languages:
                row_IL[place_of[item], self.languages.index(language)] = row
        return row_IL

    def tokens(self, context: ArmContext, longest: int) -> TokenStore:
        """Return the texts as tokens, without prefix, cut to ``longest`` tokens each."""
        tokenizer, identity = context.workshop.tokenizer(context.experiment)
        return tokenized(
            values_of(self.rows, self.column),
            f"{self.fingerprint} {self.column}",
            tokenizer,
            identity,
            prefix="",
            longest=longest,
            cache=context.workshop.location.cache,
            languages=values_of(self.rows, "language"),
        )


def readable_text(source: SourceSettings, location: DataLocation, *, parallel: bool) -> ReadableText:
    """Return what there is to read in a data set.

    Args:
        source: The data set.
        location: Where data lies.
        parallel: Whether translations are asked for: the passages of training pairs, else the sentences or questions of
            a task, by item. Otherwise it is the whole collection of candidates.

    Raises:
        UserError: If it cannot be loaded, or no item exists in two languages where that is asked for.
    """
    if not parallel:
        task = source.task(location)
        return ReadableText(task.name, task.candidates, "text", task.languages, f"{task.fingerprint} candidates")
    if type(source).pairs is not SourceSettings.pairs:
        pairs = source.pairs(location)
        found = ReadableText(pairs.name, pairs.rows, "passage", pairs.languages, pairs.fingerprint)
    else:
        task = source.task(location)
        found = ReadableText(task.name, task.questions, "text", task.languages, f"{task.fingerprint} questions")
    if not len(found.row_IL) or (found.row_IL >= 0).sum(axis=1).max() < 2:
        raise UserError(
            "no text has a translation",
            seen=f"{found.name} in {', '.join(found.languages)}",
            allowed="a data set with items in two languages or more",
            remedy="name another data set or more languages, or set `objective: mlm`",
        )
    return found


def check_batch(size: int, texts: Sequence[ReadableText], *, parallel: bool) -> None:
    """Raise when there are fewer texts, or items with translations, than a batch takes.

    Raises:
        UserError: At ``batch_size``, if so.
    """
    if parallel:
        there = sum(int(np.count_nonzero((text.row_IL >= 0).sum(axis=1) >= 2)) for text in texts)
    else:
        there = sum(len(text.rows) for text in texts)
    if size > there:
        raise UserError("a batch is larger than all text", path="batch_size", seen=size, allowed=f"at most {there}")


class TextBatches:
    """Batches of single texts; a batch follows from its number alone.

    Args:
        stores: The texts.
        size: Texts of a batch.
        seed: Which order each epoch has.
    """

    def __init__(self, stores: Sequence[TokenStore], size: int, seed: int) -> None:
        self._stores, self._size, self._seed = stores, size, seed
        self._ends = np.cumsum([len(store) for store in stores])

    def batch(self, step: int) -> TokenStore:
        """Return the texts of ``step``; over an epoch each text comes once."""
        chosen_B = places_of_step(step, self._size, int(self._ends[-1]), self._seed)
        starts = [0, *self._ends.tolist()]
        parts = [
            store.chosen(chosen_B[(chosen_B >= start) & (chosen_B < end)] - start)
            for store, (start, end) in zip(self._stores, pairwise(starts), strict=True)
        ]
        return joined([part for part in parts if len(part)])


class TranslationBatches:
    """Batches of texts that are a sentence and its translation, one after the other.

    Args:
        stores: The texts of each data set.
        rows: For each, the rows of its items by language.
        size: Pairs of a batch.
        seed: Which order each epoch has, and which languages are drawn.
        opening_ids: Special tokens that open a text; the second one of a pair goes without.
    """

    def __init__(
        self,
        stores: Sequence[TokenStore],
        rows: Sequence[NDArray[np.int64]],
        size: int,
        seed: int,
        opening_ids: Sequence[int],
    ) -> None:
        self._stores, self._size, self._seed = stores, size, seed
        self._rows = [row_IL[(row_IL >= 0).sum(axis=1) >= 2] for row_IL in rows]
        self._opening = np.asarray(opening_ids)
        self._ends = np.cumsum([len(row_IL) for row_IL in self._rows])

    def batch(self, step: int) -> TokenStore:
        """Return the pairs of ``step``: two different languages of each item, drawn alike."""
        chosen_B = places_of_step(step, self._size, int(self._ends[-1]), self._seed)
        starts = [0, *self._ends.tolist()]
        parts = []
        for store, row_IL, (start, end) in zip(self._stores, self._rows, pairwise(starts), strict=True):
            items_B = chosen_B[(chosen_B >= start) & (chosen_B < end)] - start
            if len(items_B):
                first_B, second_B = self._two_rows(row_IL[items_B], items_B, step)
                parts.append(self._side_by_side(store.chosen(first_B), store.chosen(second_B)))
        return joined(parts)

    def _two_rows(
        self, row_BL: NDArray[np.int64], items_B: NDArray[np.int64], step: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        key = np.uint64(derive_seed(self._seed, "languages", step))
        languages = np.arange(row_BL.shape[1], dtype=np.uint64)
        drawn_BL = mix64(mix64(items_B.astype(np.uint64) ^ key)[:, None] + languages) >> np.uint64(1)
        order_BL = np.argsort(np.where(row_BL >= 0, drawn_BL, np.uint64(1) << np.uint64(63)), axis=1)
        rows_B2 = np.take_along_axis(row_BL, order_BL[:, :2], axis=1)
        return rows_B2[:, 0], rows_B2[:, 1]

    def _side_by_side(self, first: TokenStore, second: TokenStore) -> TokenStore:
        pieces: list[NDArray[np.int32]] = []
        for row in range(len(first)):
            one, other = (store.ids[store.offsets[row] : store.offsets[row + 1]] for store in (first, second))
            pieces += [one, other[1:] if len(other) and np.isin(other[0], self._opening) else other]
        lengths_B = np.array([len(piece) for piece in pieces], dtype=np.int64).reshape(-1, 2).sum(axis=1)
        return replace(
            first,
            ids=np.concatenate(pieces),
            offsets=np.concatenate([[0], lengths_B.cumsum()]),
            text_hashes_R=mix64(first.text_hashes_R) + second.text_hashes_R,
        )


def places_of_step(step: int, size: int, texts: int, seed: int) -> NDArray[np.int64]:
    """Return which of ``texts`` are in the batch of ``step`` [size]; each epoch has an order of its own."""
    epochs, places = np.divmod(step * size + np.arange(size), texts)
    keys = {epoch: derive_seed(seed, "texts", int(epoch)) for epoch in np.unique(epochs)}
    return keyed_permutation(places, texts, np.array([keys[epoch] for epoch in epochs], dtype=np.uint64))


def texts_in(sources: Sequence[SourceSettings], location: DataLocation, *, parallel: bool) -> list[ReadableText]:
    """Return what there is to read in each data set.

    Raises:
        UserError: If one cannot be used (see :func:`readable_text`); its path says which.
    """
    found = []
    for index, source in enumerate(sources):
        with errors_below(f"text.{index}"):
            found.append(readable_text(source, location, parallel=parallel))
    return found
