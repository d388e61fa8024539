"""Negatives that a training file lists: how they are read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybridbatch.datasets.pairs_file import PairsFile
from hybridbatch.datasets.parallel_pairs import ParallelPairs
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
    """Return what each row lists."""
    texts, offsets = list(pairs.each_negative()), pairs.negative_offsets_R
    rows = pairs.rows[:]
    places = zip(rows["item"], rows["language"], strict=True)
    return {place: texts[offsets[row] : offsets[row + 1]] for row, place in enumerate(places)}


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_lists_are_read_row_by_row(location: DataLocation, ending: str):
    pairs = load(location, write(location, ROWS, ending))
    assert listed(pairs) == {(row["item"], row["language"]): row["hard"] or [] for row in ROWS}
    assert list(pairs.negative_languages()) == ["en", "en", "de", "tr", "tr", "tr"]
    again = load(location, write(location, ROWS, ending))
    assert again.fingerprint == pairs.fingerprint


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
    assert not plain.lists_negatives
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
    with pytest.raises(UserError, match="a csv file has no lists"):
        load(location, "pairs.csv")


def test_listed_negatives_are_training_text_for_the_guard_against_leakage(location: DataLocation):
    secret = "This sentence stands in the report set and nowhere else"
    report = PairsFile(path=write(location, [{**ROWS[0], "passage": secret}], "parquet")).task(location)
    pairs = load(location, write(location, [{**ROWS[0], "hard": ["Bob", secret]}]))
    (overlap,) = find_overlap([pairs], [report])
    assert (overlap.kind, overlap.count) == ("negative", 1)
    assert "in listed negatives of pairs" in overlap.statement()
