"""Which labelled pairs are asked about, and which are the pool that neighbours come from: never the same item.

Shape legend: I items, X pairs that are asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hybridbatch.datasets.labelled_pairs import LabelledPair, LabelledPairs
from hybridbatch.datasets.pairs_split import linked_items
from hybridbatch.datasets.text_identity import identity_keys
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.settings import Settings
from hybridbatch.spec.sources import DataLocation, SourceSettings

HELD_OUT = "held-out"
Labels = Literal["true", "predicted"]
Aggregate = Literal["mean", "vote", "concatenation"]
RetrieveBy = Literal["premise", "pair"]
LABELS: tuple[Labels, ...] = ("true", "predicted")
AGGREGATES: tuple[Aggregate, ...] = ("mean", "vote", "concatenation")
RETRIEVE_BY: tuple[RetrieveBy, ...] = ("premise", "pair")


class ParcSettings(Settings):
    """How neighbours are found and how they enter the prompt.

    Attributes:
        neighbours: Neighbours k of each pair (the authors' code: 1).
        labels: Whether neighbours come with their ``true`` labels (the paper's labelled setting) or with what the
            language model says of them without neighbours (``predicted``, the unlabelled setting).
        aggregate: What becomes of several neighbours: each in a prompt of its own, of whose probabilities the ``mean``
            is taken or which ``vote`` (the authors' code; of equal numbers of votes the greater mean wins), or all in
            one prompt (``concatenation``).
        retrieve_by: What a pair is searched with: the whole ``pair``, or as in the authors' code its ``premise`` alone.
            In XNLI a premise has one hypothesis of each label: by premise the three get the same neighbours, whose
            labels say nothing then. The pool is always indexed by premise and hypothesis.
        pool: Where the pool comes from: ``held-out``, other items of the same split; else the name of another split.
        pool_language: Its language.
        pool_share: Share of the items that is the pool, when it is held out.
        items: At most so many items are asked about, drawn by the seed; None: all.
        pattern: The cloze pattern.
        longest: Longest prompt in tokens; None: 512, or what the language model has positions for.
        seed: Seed of the split and of the random neighbours.
    """

    neighbours: Annotated[int, Field(ge=1)] = 1
    labels: Labels = "true"
    aggregate: Aggregate = "mean"
    retrieve_by: RetrieveBy = "pair"
    pool: Annotated[str, Field(min_length=1)] = HELD_OUT
    pool_language: Annotated[str, Field(min_length=1)] = "en"
    pool_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    items: Annotated[int, Field(ge=1)] | None = None
    pattern: str = "{premise}? {mask}, {hypothesis}"
    longest: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class ParcData:
    """The pairs that are asked about, and the pool.

    Attributes:
        name: The data set that is asked about.
        pool_name: The data set of the pool.
        labels: The labels.
        asked: By language, the same pairs at the same places.
        pool: Labelled pairs in the pool's language, of items that are not asked about.
        dropped: Items that were left out of the pool since their premise is asked about.
    """

    name: str
    pool_name: str
    labels: tuple[str, ...]
    asked: Mapping[str, tuple[LabelledPair, ...]]
    pool: tuple[LabelledPair, ...]
    dropped: int


def parc_data(source: SourceSettings, location: DataLocation, settings: ParcSettings) -> ParcData:
    """Load the pairs and split them by item.

    Items with equal premises, compared in the pool's language without case, punctuation and spaces, are one: none is in
    the pool and asked about.

    Args:
        source: A data set with labelled pairs; all its languages but the pool's are asked in.
        location: Where data lies.
        settings: What the pool is.

    Raises:
        UserError: If the data set has no labelled pairs or no such split, files are missing, or nothing is left.
    """
    language = settings.pool_language
    languages = source.languages or type(source).present
    asked_in = tuple(one for one in languages if one != language)
    if not asked_in:
        raise UserError(
            "no language is left to ask in",
            path="--set languages",
            seen=list(languages),
            allowed=f"a language beside that of the pool, {language}",
        )
    both = source.model_copy(update={"languages": (*asked_in, language)})
    whole = both.labelled_pairs(location)
    items = list(dict.fromkeys(pair.item for pair in whole.pairs[language]))
    group_I = _linked(whole.pairs[language], items)
    order_I = np.random.default_rng(derive_seed(settings.seed, "parc items")).permutation(group_I.max() + 1)[group_I]
    if settings.pool == HELD_OUT:
        is_pool_I = _first(order_I, settings.pool_share * len(items))
        pool = _of(whole.pairs[language], items, is_pool_I)
        asked_I, pool_name, dropped = ~is_pool_I, whole.name, 0
    else:
        other = _other_split(source, settings.pool, language).labelled_pairs(location)
        asked_I, pool_name = np.ones(len(items), dtype=np.bool_), other.name
    if settings.items is not None and settings.items < asked_I.sum():
        chosen = np.flatnonzero(asked_I)[np.argsort(order_I[asked_I], kind="stable")][: settings.items]
        asked_I = np.isin(np.arange(len(items)), chosen)
    if settings.pool != HELD_OUT:
        pool, dropped = _without(other, language, _of(whole.pairs[language], items, asked_I))
    asked = {one: _of(whole.pairs[one], items, asked_I) for one in asked_in}
    if not pool or not asked[asked_in[0]]:
        raise UserError(
            "nothing is left in the pool" if not pool else "nothing is left to ask about",
            file=whole.name,
            seen=f"{len(items)} items",
            remedy="choose another --pool-share",
        )
    return ParcData(whole.name, pool_name, whole.labels, asked, pool, dropped)


def _linked(pairs: tuple[LabelledPair, ...], items: list[str]) -> NDArray[np.int64]:
    """Return the group of each item: items with equal premises are linked."""
    premise = {pair.item: pair.first for pair in pairs}
    keys = identity_keys(premise[item] for item in items)
    groups = linked_items(len(items), np.arange(len(items)), keys)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _first(order_I: NDArray[np.int64], count: float) -> NDArray[np.bool_]:
    """Return the items that come first, as many as ``count`` allows, whole groups and one group at least."""
    sizes = np.bincount(order_I)
    groups = max(1, int(np.searchsorted(sizes.cumsum(), count, side="right")))
    return np.asarray(order_I < groups)


def _of(pairs: tuple[LabelledPair, ...], items: list[str], chosen_I: NDArray[np.bool_]) -> tuple[LabelledPair, ...]:
    wanted = {item for item, is_chosen in zip(items, chosen_I.tolist(), strict=True) if is_chosen}
    return tuple(pair for pair in pairs if pair.item in wanted)


def _other_split(source: SourceSettings, split: str, language: str) -> SourceSettings:
    """Return the settings of another split in one language."""
    from pydantic import ValidationError

    kind = type(source)
    allowed = f"{HELD_OUT}, or another split of {source.dataset}"
    if "split" not in kind.model_fields or split == getattr(source, "split", None):
        raise UserError("no such pool", path="--pool", seen=split, allowed=allowed)
    try:
        return kind.model_validate({**source.model_dump(), "split": split, "languages": (language,)})
    except ValidationError as error:
        raise UserError("no such pool", path="--pool", seen=split, allowed=allowed) from error


def _without(
    other: LabelledPairs, language: str, asked: tuple[LabelledPair, ...]
) -> tuple[tuple[LabelledPair, ...], int]:
    """Return the pairs of another split whose premise is not asked about, and how many items were left out."""
    pairs = other.pairs[language]
    taken = set(identity_keys(pair.first for pair in asked).tolist())
    is_taken = [key in taken for key in identity_keys(pair.first for pair in pairs).tolist()]
    kept = tuple(pair for pair, taken in zip(pairs, is_taken, strict=True) if not taken)
    return kept, len({pair.item for pair in pairs} - {pair.item for pair in kept})
