"""Rows grouped into items: in memory, and dealt out to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.small_disk import leave

from hybridbatch.datasets import item_index as module
from hybridbatch.datasets.arrow_cache import cached_table
from hybridbatch.datasets.item_index import ItemIndex, RepeatedItemError, item_index, language_masks
from hybridbatch.foundation.errors import StoreError, UserError

LANGUAGES = ("de", "en", "th")
CELLS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from((*LANGUAGES, "zh"))), min_size=1, unique=True)


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deal out to files what fits into memory."""
    for name, value in (("ROWS_IN_MEMORY", 5), ("FILES", 3), ("CHUNK", 4)):
        monkeypatch.setattr(module, name, value)


def table(cache: Path, key: str, cells: list[tuple[int, str]], part: int = 100) -> Dataset:
    columns = {"item": [f"i{item}" for item, _ in cells], "language": [language for _, language in cells]}
    return cached_table(cache, key, lambda: pa.table(columns).to_batches(max_chunksize=part))


def listed(index: ItemIndex) -> list[list[int]]:
    return [[int(row) for row in rows] for rows in index.row_IL]


def one_by_one(cells: list[tuple[int, str]], languages: tuple[str, ...]) -> list[list[int]]:
    """Return the index as a dictionary makes it."""
    rows: dict[int, list[int]] = {}
    for row, (item, language) in enumerate(cells):
        if language in languages:
            rows.setdefault(item, [-1] * len(languages))[languages.index(language)] = row
    return list(rows.values())


def test_by_hand(tmp_path: Path):
    cells = [(7, "en"), (8, "en"), (7, "de"), (9, "de"), (9, "th")]
    index = item_index("made-up", table(tmp_path, "key", cells), None, tmp_path, "key")
    assert index.languages == LANGUAGES
    assert index.row_IL.tolist() == [[2, 0, -1], [-1, 1, -1], [3, -1, 4]]
    assert index.masks_I.tolist() == [0b011, 0b010, 0b101]
    assert (index.row_IL.dtype, index.masks_I.dtype) == (np.int32, np.uint8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CELLS, st.permutations(LANGUAGES), st.integers(1, 9))
@pytest.mark.usefixtures("small_limits")
def test_rows_dealt_out_to_files_give_the_same_items(
    tmp_path: Path, cells: list[tuple[int, str]], languages: list[str], part: int
):
    key = f"{hash((tuple(cells), part))}"
    index = item_index("made-up", table(tmp_path, key, cells, part), languages, tmp_path, key)
    assert listed(index) == one_by_one(cells, tuple(languages))
    assert np.array_equal(index.masks_I, language_masks(index.row_IL))
    assert not list((tmp_path / "items").rglob("part-*"))


@pytest.mark.parametrize("before", [0, 20])
@pytest.mark.usefixtures("small_limits")
def test_a_repeated_item_is_refused_and_leaves_nothing(tmp_path: Path, before: int):
    cells = [
        *((item, "en") for item in range(100, 100 + before)),
        (1, "de"),
        (1, "en"),
        (2, "en"),
        (1, "en"),
        (2, "en"),
    ]
    with pytest.raises(RepeatedItemError, match=f"made-up -> record {before + 3}: an item stands twice") as caught:
        item_index("made-up", table(tmp_path, "key", cells), ("en", "de"), tmp_path, "key")
    assert (caught.value.item, caught.value.language) == ("i1", "en")
    assert f"the other is record {before + 1}" in str(caught.value.allowed)
    assert not list((tmp_path / "items").iterdir())


@pytest.mark.parametrize("damage", ["rows.npy", "masks.npy", "languages.json"])
def test_a_damaged_index_is_made_again(tmp_path: Path, damage: str):
    cells = [(1, "de"), (1, "en"), (2, "en")]
    rows = table(tmp_path, "key", cells)
    whole = listed(item_index("made-up", rows, LANGUAGES, tmp_path, "key"))
    (file,) = (tmp_path / "items").rglob(damage)
    file.write_bytes(file.read_bytes()[:-8])
    assert listed(item_index("made-up", rows, LANGUAGES, tmp_path, "key")) == whole


def test_an_index_is_kept_by_table_and_languages(tmp_path: Path):
    rows = table(tmp_path, "key", [(1, "de"), (1, "en"), (2, "en")])
    assert listed(item_index("a", rows, ("en", "de"), tmp_path, "key")) == [[1, 0], [2, -1]]
    assert listed(item_index("a", rows, ("de",), tmp_path, "key")) == [[0]]
    other = table(tmp_path, "other", [(1, "de")])
    assert listed(item_index("a", other, ("de",), tmp_path, "other")) == [[0]]
    assert listed(item_index("a", other, ("th",), tmp_path, "other")) == []


@pytest.mark.parametrize("kilobytes", [50, 150, 230])
def test_a_full_disk_is_a_store_error(small_disk: Path, tmp_path: Path, kilobytes: int):
    rows = table(tmp_path, "key", [(item, "en") for item in range(30_000)])
    leave(small_disk, kilobytes)
    with pytest.raises(StoreError, match="full"):
        item_index("made-up", rows, ("en",), small_disk, "key")
    (small_disk / "ballast").unlink()
    assert not list((small_disk / "items").iterdir())
    assert len(item_index("made-up", rows, ("en",), small_disk, "key").masks_I) == 30_000


def test_too_many_languages_are_refused(tmp_path: Path):
    rows = table(tmp_path, "key", [(1, f"l{number}") for number in range(65)])
    with pytest.raises(UserError, match="too many languages"):
        item_index("made-up", rows, None, tmp_path, "key")


@pytest.mark.parametrize(
    ("languages", "narrowest"), [(1, np.uint8), (8, np.uint8), (9, np.uint16), (17, np.uint32), (64, np.uint64)]
)
def test_masks_are_of_the_narrowest_type(languages: int, narrowest: type):
    row_IL = np.zeros((2, languages), np.int32)
    row_IL[1, :-1] = -1
    masks_I = language_masks(row_IL)
    assert masks_I.dtype == narrowest
    assert masks_I.tolist() == [2**languages - 1, 2 ** (languages - 1)]
