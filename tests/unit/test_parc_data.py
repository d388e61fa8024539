"""Pairs that are asked about and the pool of their neighbours: never the same item; and how votes are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.planted_parc import write_xnli

from hybridbatch.datasets.xnli import Xnli
from hybridbatch.evaluation.neighbours import drawn, nearest
from hybridbatch.evaluation.parc import aggregated, votes
from hybridbatch.evaluation.parc_data import ParcData, ParcSettings, parc_data
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation

ITEMS = 30


@pytest.fixture
def location(tmp_path: Path) -> DataLocation:
    write_xnli(tmp_path, ITEMS)
    write_xnli(tmp_path, 10, ("en",), "validation")
    return DataLocation(tmp_path, tmp_path / "cache")


def load(location: DataLocation, languages: tuple[str, ...] = ("en", "es", "sw"), **settings: Any) -> ParcData:
    return parc_data(Xnli(folder=".", languages=languages), location, ParcSettings(**settings))


def set_premises(location: DataLocation, split: str, premises: dict[int, str]) -> None:
    """Give items of the English file other premises."""
    file = location.root / f"en/{split}.parquet"
    table = pq.read_table(file)
    column = table["premise"].to_pylist()
    for item, premise in premises.items():
        column[3 * item : 3 * item + 3] = [premise] * 3
    pq.write_table(table.set_column(0, "premise", [column]), file)


def items(pairs: Any) -> set[str]:
    return {pair.item for pair in pairs}


def test_no_item_is_in_the_pool_and_asked_about(location: DataLocation) -> None:
    data = load(location, pool_share=0.4)
    assert (list(data.asked), len(items(data.pool)), len(data.pool)) == (["es", "sw"], 12, 36)
    assert items(data.asked["es"]) == items(data.asked["sw"])
    assert items(data.asked["es"]) | items(data.pool) == {f"test-{number}" for number in range(ITEMS)}
    assert not items(data.asked["es"]) & items(data.pool)
    assert all(" en" in pair.first for pair in data.pool)
    for spanish, swahili in zip(data.asked["es"], data.asked["sw"], strict=True):  # joined, whatever the files' order
        assert (spanish.item, spanish.label, spanish.second) == (swahili.item, swahili.label, swahili.second)


def test_the_pools_language_is_read_though_it_is_not_asked_in(location: DataLocation) -> None:
    assert load(location, ("sw",)) == load(location, ("sw", "en"))


def test_items_with_one_premise_are_together(location: DataLocation) -> None:
    set_premises(location, "test", {item: f"Twice said: {item // 2}!" if item % 4 else f"twice said {item // 2}" for
                                    item in range(ITEMS)})  # fmt: skip
    data = load(location)
    for group in (items(data.pool), items(data.asked["es"])):
        numbers = {int(item.removeprefix("test-")) for item in group}
        assert {number ^ 1 for number in numbers} == numbers


def test_the_pool_of_another_split_has_no_premise_that_is_asked_about(location: DataLocation) -> None:
    data = load(location, pool="validation")
    assert (data.pool_name, len(data.pool), data.dropped, len(data.asked["es"])) == ("xnli-validation", 30, 0, 90)
    set_premises(location, "validation", {2: "Test, PREMISE 7 en.", 5: "test premise 29 en"})
    data = load(location, pool="validation")
    assert (len(data.pool), data.dropped) == (24, 2)
    assert items(data.pool) == {f"validation-{number}" for number in range(10) if number not in (2, 5)}


def test_fewer_items_are_the_first_of_a_drawn_order(location: DataLocation) -> None:
    few, more = (load(location, items=count) for count in (4, 9))
    assert (len(items(few.asked["es"])), len(items(more.asked["es"]))) == (4, 9)
    assert items(few.asked["es"]) < items(more.asked["es"])
    assert few.pool == more.pool == load(location).pool
    assert load(location, seed=1).pool != few.pool
    assert len(items(load(location, items=4, pool="validation").asked["es"])) == 4


def test_one_item_cannot_be_split(location: DataLocation) -> None:
    write_xnli(location.root, 1)
    with pytest.raises(UserError, match="nothing is left to ask about"):
        load(location)


def test_nearest_by_hand() -> None:
    pool_PD = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8]], dtype=np.float32)
    asked_XD = np.array([[1, 0], [0.8, 0.6]], dtype=np.float32)
    assert nearest(asked_XD, pool_PD, 3).tolist() == [[0, 2, 3], [3, 0, 2]], "of equals the first"
    with pytest.raises(UserError, match="embedding of the pool is not finite"):
        nearest(asked_XD, pool_PD * np.nan, 3)


def test_random_neighbours_follow_from_seed_and_name() -> None:
    names = [("sw", f"item-{number}", 0) for number in range(50)]
    places_XK = drawn(names, 10, 4, seed=0)
    assert all(len(set(row)) == 4 for row in places_XK.tolist())
    assert set(places_XK.ravel().tolist()) == set(range(10))
    assert np.array_equal(places_XK[7:9], drawn(names[7:9], 10, 4, seed=0))
    assert not np.array_equal(places_XK, drawn(names, 10, 4, seed=1))


def test_aggregates_by_hand() -> None:
    shares_XKC = np.array([[[0.4, 0.6, 0.0], [0.45, 0.55, 0.0], [1.0, 0.0, 0.0]]])
    assert aggregated(shares_XKC, "mean")[0] == pytest.approx([1.85 / 3, 1.15 / 3, 0])
    assert aggregated(shares_XKC, "vote")[0].argmax() == 1
    tied = np.array([[[0.4, 0.6, 0.0], [0.7, 0.3, 0.0]]])
    assert aggregated(tied, "vote")[0].argmax() == 0, "the mean decides between equal votes"
    assert aggregated(tied, "vote").sum() == pytest.approx(1)


def test_votes_of_neighbours_by_hand() -> None:
    labels_XK = np.array([[1, 2, 2], [2, 1, 0], [0, 1, 1]])
    assert votes(labels_XK, 3).argmax(axis=1).tolist() == [2, 2, 1], "of equal shares that of the nearest"
    assert votes(labels_XK, 3).sum(axis=1) == pytest.approx(np.ones(3))
