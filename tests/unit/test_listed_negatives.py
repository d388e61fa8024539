"""Negatives that a training file lists: how they are read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridbatch.datasets import text_table
from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.pairs_file import PairsFile
from hybridbatch.datasets.parallel_pairs import NEGATIVES, ParallelPairs
from hybridbatch.datasets.text_lists import TextLists
from hybridbatch.evaluation.leakage import find_overlap
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation

ROWS: list[dict[str, Any]] = [
    {"item": "a", "language": "en", "query": "who", "passage": "Ann", "hard": ["Bob", "Cem"]},
    {"item": "a", "language": "de", "query": "wer", "passage": "Anna", "hard": []},
    {"item": "b", "language": "en", "query": "what", "passage": "a cat", "hard": None},
    {"item": "b", "language": "de", "query": "was", "passage": "eine Katze", "hard": ["ein Hund"]},
    {"item": "c", "language": "tr", "query": "ne", "passage": "kedi", "hard": ["köpek", "at", "kuş"]},
]


@pytest.fixture
def location(tmp_path: Path) -> DataLocation:
    return DataLocation(root=tmp_path, cache=tmp_path / "cache")


def write(location: DataLocation, rows: list[dict[str, Any]], ending: str = "jsonl") -> str:
    file = location.root / f"pairs.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=2)
    else:
        file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return file.name


def load(location: DataLocation, path: str, **settings: Any) -> ParallelPairs:
    return PairsFile.model_validate({"path": path, "columns": {"negatives": "hard"}, **settings}).pairs(location)


def listed(pairs: ParallelPairs) -> dict[tuple[str, str], list[str]]:
    """Return what each row lists, as a step looks it up."""
    assert pairs.negatives is not None
    texts, rows = list(pairs.negatives), pairs.rows[:]
    places = list(zip(rows["item"], rows["language"], strict=True))
    starts, ends = pairs.negatives.bounds(np.arange(len(places)))
    return {place: texts[start:end] for place, start, end in zip(places, starts, ends, strict=True)}


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_lists_are_read_row_by_row(location: DataLocation, ending: str):
    pairs = load(location, write(location, ROWS, ending))
    assert listed(pairs) == {(row["item"], row["language"]): row["hard"] or [] for row in ROWS}
    assert pairs.negatives is not None
    assert list(pairs.negatives.for_each_text(pairs.rows["language"])) == ["en", "en", "de", "tr", "tr", "tr"]
    again = load(location, write(location, ROWS, ending))
    assert again.fingerprint == pairs.fingerprint


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("limits", [{"PART_ROWS": 3}, {"PART_CHARACTERS": 12, "ROWS_OF_LISTS": 2}])
@pytest.mark.parametrize("chosen", [{}, {"languages": ("tr", "de")}, {"split": "train", "dev_share": 0.4}])
def test_lists_that_are_read_in_parts_are_those_read_at_once(
    location: DataLocation, monkeypatch: pytest.MonkeyPatch, ending: str, limits: dict[str, int], chosen: dict[str, Any]
):
    file = write(location, [*ROWS, *({**row, "item": f"{row['item']}{row['item']}"} for row in ROWS)], ending)
    whole = load(location, file, **chosen)
    for name, value in limits.items():
        monkeypatch.setattr(text_table, name, value)
    parts = load(DataLocation(location.root, location.root / "parts"), file, **chosen)
    assert listed(parts) == listed(whole)
    assert parts.fingerprint == whole.fingerprint
    chunks = [column_of(pairs.rows, NEGATIVES).num_chunks for pairs in (parts, whole)]
    assert chunks[0] > chunks[1] == 1


@pytest.mark.parametrize(
    ("kind", "none"),
    [
        (pa.list_(pa.large_string()), None),
        (pa.large_list(pa.string()), None),
        (pa.list_(pa.string(), 2), ["Fay", "Gil"]),  # pyarrow cannot read a null of these
    ],
)
def test_every_type_of_lists_in_parquet_is_read(location: DataLocation, kind: pa.DataType, none: list[str] | None):
    lists = [["Bob", "Cem"], none, ["Didi", "Eva"]]
    columns = {name: [row[name] for row in ROWS[:3]] for name in ("item", "language", "query", "passage")}
    pq.write_table(pa.table({**columns, "hard": pa.array(lists, kind)}), location.root / "pairs.parquet")
    assert list(listed(load(location, "pairs.parquet")).values()) == [one or [] for one in lists]


@given(
    chunks=st.lists(st.lists(st.lists(st.text(max_size=3), max_size=3), max_size=4), max_size=4), cut=st.integers(0, 5)
)
def test_texts_are_numbered_through_lists_and_chunks(chunks: list[list[list[str]]], cut: int):
    arrays = [pa.array(chunk, pa.list_(pa.string())) for chunk in chunks]
    column = pa.chunked_array(arrays, pa.list_(pa.string())).slice(cut)  # a chunk need not begin where its buffers do
    rows = [row for chunk in chunks for row in chunk][cut:]
    texts = [text for row in rows for text in row]
    lists = TextLists(column)
    assert (len(lists), list(lists), lists.texts.to_pylist()) == (len(texts), texts, texts)
    assert lists.longest == max(map(len, rows), default=0)
    starts, ends = lists.bounds(np.arange(len(rows)))
    assert [texts[start:end] for start, end in zip(starts, ends, strict=True)] == rows
    row_of_text = [number for number, row in enumerate(rows) for _ in row]
    assert list(lists.for_each_text(map(str, range(len(rows))))) == list(map(str, row_of_text))
    some = np.arange(len(texts))[::-1]
    found, of_rows = lists.chosen(some)
    assert (found, of_rows.tolist()) == (texts[::-1], row_of_text[::-1])


def test_rows_that_are_left_out_take_their_lists_with_them(location: DataLocation):
    pairs = load(location, write(location, ROWS), languages=("de", "tr"))
    assert listed(pairs) == {("a", "de"): [], ("b", "de"): ["ein Hund"], ("c", "tr"): ["köpek", "at", "kuş"]}
    holes = [ROWS[0], {**ROWS[1], "query": " "}, *ROWS[2:]]
    pairs = load(location, write(location, holes), empty="skip")
    assert listed(pairs)[("b", "de")] == ["ein Hund"]
    assert len(listed(pairs)) == 4


def test_formats_agree_and_the_fingerprint_knows_the_lists(location: DataLocation):
    fingerprints = [load(location, write(location, ROWS, ending)).fingerprint for ending in ("jsonl", "parquet")]
    assert fingerprints[0] == fingerprints[1]
    moved = [{**ROWS[0], "hard": ["Bob"]}, {**ROWS[1], "hard": ["Cem"]}, *ROWS[2:]]
    assert load(location, write(location, moved)).fingerprint != fingerprints[0], "the same texts, another row"
    plain = PairsFile(path="pairs.jsonl").pairs(location)
    assert plain.negatives is None
    assert plain.fingerprint == PairsFile(path="pairs.parquet").pairs(location).fingerprint


@pytest.mark.parametrize(
    ("hard", "path", "problem"),
    [
        ("Bob", "line 1 -> hard", "wrong type of value"),
        ([1], "line 1 -> hard", "wrong type of value"),
        (["Bob", None], "line 1 -> hard", "wrong type of value"),
        (["Bob", " "], "line 1 -> hard", "a text of a list is null or blank"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(location: DataLocation, hard: Any, path: str, problem: str):
    with pytest.raises(UserError) as caught:
        load(location, write(location, [{**ROWS[0], "hard": hard}]))
    assert (caught.value.path, caught.value.problem) == (path, problem)


@pytest.mark.parametrize(
    ("hard", "path", "problem"),
    [
        ("Bob", "hard", "wrong type of column"),
        ([1], "hard", "wrong type of column"),
        (["Bob", None], "record 1 -> hard", "a text of a list is null or blank"),
    ],
)
def test_the_same_in_parquet(location: DataLocation, hard: Any, path: str, problem: str):
    good = {"Bob": "Cem"}.get(str(hard)) or type(hard)(hard[:1])
    with pytest.raises(UserError) as caught:
        load(location, write(location, [{**ROWS[0], "hard": good}, {**ROWS[1], "hard": hard}], "parquet"))
    assert (caught.value.path, caught.value.problem) == (path, problem)


def test_a_column_that_is_missing_and_a_csv_file_are_refused(location: DataLocation):
    file = write(location, [{name: row[name] for name in row if name != "hard"} for row in ROWS])
    with pytest.raises(UserError, match="missing column") as caught:
        load(location, file)
    assert caught.value.allowed == "a column 'hard'"
    (location.root / "pairs.csv").write_text("item,language,query,passage,hard\na,en,who,Ann,Bob\n", encoding="utf-8")
    with pytest.raises(UserError, match="a csv file has no lists") as caught:
        load(location, "pairs.csv")
    assert caught.value.path == "columns.negatives"


def test_listed_negatives_are_training_text_for_the_guard_against_leakage(location: DataLocation):
    secret = "This sentence stands in the report set and nowhere else"
    report = PairsFile(path=write(location, [{**ROWS[0], "passage": secret}], "parquet")).task(location)
    pairs = load(location, write(location, [{**ROWS[0], "hard": ["Bob", secret]}]))
    (overlap,) = find_overlap([pairs], [report])
    assert (overlap.kind, overlap.count) == ("negative", 1)
    assert "in listed negatives of pairs" in overlap.statement()
