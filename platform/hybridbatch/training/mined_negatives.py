"""Hard negatives that a model mines, once for all trials that ask for the same: a table in the cache.

A table is named by all that it depends on: the model, the texts, how they are encoded, the filters. The first process
that needs it makes it, all others wait for it.

Shape legend: R rows of a training set, K places of a list, D width of an embedding, B pairs of the global batch.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybridbatch.batching.plan import Batch
from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import StoreError
from hybridbatch.foundation.file_lock import held
from hybridbatch.training.arm import ArmContext
from hybridbatch.training.mining import Filters, mine
from hybridbatch.training.mining_model import MiningModel, mining_model
from hybridbatch.training.negatives.mined import MinedNegatives
from hybridbatch.training.workshop import TokenisedPairs

_log = logging.getLogger(__name__)
_FORMAT = 1  # raise it when the same model, texts and filters give another table
_ITEMS, _COUNTS = "items.npy", "mined.json"


class MinedLists:
    """The lists of a training set.

    Args:
        settings: What is mined.
        context: The trial.
        tokens: The training set.

    Attributes:
        store: The passages of the training set.
        groups_S: The group of items of each.
        record: What was left out, over all languages; by language it stands in ``mined.json`` beside the table.
    """

    def __init__(self, settings: MinedNegatives, context: ArmContext, tokens: TokenisedPairs) -> None:
        self._pairs, self.store = tokens.pairs, tokens.passages
        row_IL = tokens.pairs.row_IL
        item, language = np.nonzero(row_IL >= 0)
        self.groups_S = np.full(len(tokens.passages), -1, dtype=np.int64)
        self.groups_S[row_IL[item, language]] = tokens.passage_groups_I[item]
        filters = Filters(**settings.model_dump(include=set(Filters.__annotations__)))
        self._items_RK, counts = mined_table(mining_model(settings.model, context, tokens), tokens, filters, context)
        total: Counter[str] = Counter()
        for of_language in counts.values():
            total.update(of_language)
        self.record: Mapping[str, int] = dict(total)

    def of_batch(self, batch: Batch) -> NDArray[np.int64]:
        """Return what was mined for the question of each pair [B, K], -1 behind the end of a list.

        It is the mined item's passage in the language of the pair's passage, or in the question's, in which it was
        mined, where the item does not exist in that.
        """
        row_IL = self._pairs.row_IL
        items_BK = self._items_RK[row_IL[batch.items_B, batch.question_language_B]].astype(np.int64)
        rows_BK = row_IL[items_BK, batch.passage_language_B[:, None]]
        mined_BK = row_IL[items_BK, batch.question_language_B[:, None]]
        return np.where(items_BK < 0, -1, np.where(rows_BK < 0, mined_BK, rows_BK))

    def texts(self, chosen: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        """Return chosen passages, and the language of each."""
        rows = self._pairs.rows.select_columns(["passage", "language"])[chosen.tolist()]
        return rows["passage"], rows["language"]


def mined_negatives(settings: MinedNegatives, context: ArmContext) -> Sequence[MinedLists]:
    """Return the lists of every training set, mined when that was not done before; trials of a process share them.

    Raises:
        UserError: If the model cannot be loaded.
    """
    experiment, workshop = context.experiment, context.workshop
    parts = [part.model_dump(mode="json") for part in (settings, experiment.data, experiment.backbone)]
    key = fingerprint.of_json([*parts, experiment.training.seed, context.device])

    def make() -> Sequence[MinedLists]:
        return [MinedLists(settings, context, tokens) for tokens in workshop.training_tokens(experiment)]

    return workshop.keep("mined_negatives", key, make)


def mined_table(
    model: MiningModel, tokens: TokenisedPairs, filters: Filters, context: ArmContext
) -> tuple[NDArray[np.int32], dict[str, dict[str, int]]]:
    """Return the mined items of every row's question [R, K], hardest first, -1 behind the last; and counts by language.

    Rows in languages that are not trained on have none. What is in the cache is taken from there.
    """
    names = [model.entry(side) for side in ("questions", "passages")]
    name = fingerprint.of_json([_FORMAT, names, vars(filters)])
    folder = context.workshop.location.cache / "negatives" / name
    kept = _kept(folder, len(tokens.passages))
    if kept is None:
        with held(folder.with_suffix(".lock")):
            kept = _kept(folder, len(tokens.passages))  # another process may have made it meanwhile
            if kept is None:
                _make(folder, model, tokens, filters, context.experiment.training.threads)
                kept = _kept(folder, len(tokens.passages))
    if kept is None:
        raise StoreError("what was written cannot be read", file=folder, remedy="look whether the disk is sound")
    return kept


def _make(folder: Path, model: MiningModel, tokens: TokenisedPairs, filters: Filters, threads: int) -> None:
    import faiss  # noqa: F401 - before the limit, which holds for libraries that are there
    from threadpoolctl import threadpool_limits

    questions_RD, passages_RD = model.embeddings("questions"), model.embeddings("passages")
    pairs = tokens.pairs
    items_RK = np.full((len(tokens.passages), min(filters.keep, filters.depth)), -1, dtype=np.int32)
    counts: dict[str, Mapping[str, int]] = {}
    for column, language in enumerate(pairs.languages):
        items = np.flatnonzero(pairs.row_IL[:, column] >= 0)
        rows = pairs.row_IL[items, column]
        with threadpool_limits(threads):
            found_QK, counts[language] = mine(
                np.ascontiguousarray(questions_RD[rows]),
                np.ascontiguousarray(passages_RD[rows]),
                tokens.passages.text_hashes_R[rows],
                tokens.passage_groups_I[items],
                filters,
            )
        items_RK[rows] = np.where(found_QK < 0, -1, items[found_QK])
        _log.info("hard negatives of %s in %s: %s", pairs.name, language, counts[language])
    with atomic.folder_written_whole(folder) as draft:
        np.save(draft / _ITEMS, items_RK)
        atomic.write_json(draft / _COUNTS, {"filters": vars(filters), "counts": counts})


def _kept(folder: Path, rows: int) -> tuple[NDArray[np.int32], dict[str, dict[str, int]]] | None:
    """Return the table in ``folder``, None when it is not there or not whole."""
    try:
        items_RK: NDArray[np.int32] = np.lib.format.open_memmap(folder / _ITEMS, mode="r")
        counts: dict[str, dict[str, int]] = atomic.read_json(folder / _COUNTS)["counts"]
    except (OSError, ValueError, EOFError, KeyError):
        return None
    return (items_RK, counts) if items_RK.ndim == 2 and len(items_RK) == rows else None
