"""Pairs of texts with a label, the same pairs in several languages: what a classifier is measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelledPair:
    """Two texts and what holds between them.

    Attributes:
        item: What the pair belongs to: pairs of one item, in all languages, are not independent of each other.
        first: The first text, such as a premise.
        second: The second text, such as a hypothesis.
        label: Place of the label in :attr:`LabelledPairs.labels`.
    """

    item: str
    first: str
    second: str
    label: int


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs in several languages: at the same place stands the same pair, with the same item and label.

    Attributes:
        name: The data set, as shown to people.
        labels: The labels.
        pairs: The pairs of each language.
    """

    name: str
    labels: tuple[str, ...]
    pairs: Mapping[str, tuple[LabelledPair, ...]]
