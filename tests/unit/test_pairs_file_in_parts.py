"""A file of pairs that is read in parts gives what it gives when read at once."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybridbatch.datasets import text_table
from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.pairs_file import PairsFile
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation

COLUMNS = ("item", "language", "query", "passage")
ROWS = [
    (f"i{item}", language, f"a question in {language}, {item}", f"passage {item // 2} in {language}")
    for language in ("en", "de", "th")
    for item in range(9)
    if (item + len(language)) % 4 or language == "en"
]
every_format = pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])


def write(file: Path, rows: list[tuple[Any, ...]]) -> None:
    if file.suffix == ".parquet":
        records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        pq.write_table(pa.Table.from_pylist(records), file, row_group_size=5)
    elif file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows))
    else:
        with file.open("w", newline="") as text:
            csv.writer(text).writerows([COLUMNS, *rows])


def load(folder: Path, cache: str, **settings: Any) -> ParallelPairs:
    (file,) = folder.glob("pairs.*")
    return PairsFile.model_validate({"path": file.name, **settings}).pairs(DataLocation(folder, folder / cache))


def seen(pairs: ParallelPairs) -> tuple[object, ...]:
    columns = [column_of(pairs.rows, name).to_pylist() for name in COLUMNS]
    return pairs.languages, columns, pairs.row_IL.tolist(), pairs.language_masks_I.tolist(), pairs.fingerprint


@every_format
@pytest.mark.parametrize("limits", [{"PART_ROWS": 4}, {"PART_CHARACTERS": 90}])
@pytest.mark.parametrize(
    "chosen",
    [{}, {"languages": ("th", "en")}, {"split": "train", "dev_share": 0.4}, {"split": "dev", "dev_share": 0.4}],
)
def test_the_parts_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, limits: dict[str, int], chosen: dict[str, Any]
):
    write(tmp_path / f"pairs.{ending}", ROWS)
    whole = seen(load(tmp_path, "whole", **chosen))
    for name, value in limits.items():
        monkeypatch.setattr(text_table, name, value)
    assert seen(load(tmp_path, "parts", **chosen)) == whole


@every_format
def test_mistakes_in_a_later_part_are_named_by_their_place_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
):
    monkeypatch.setattr(text_table, "PART_ROWS", 4)
    place = {"parquet": "record {}", "jsonl": "line {}", "csv": "line {}"}[ending]
    after = {"parquet": 0, "jsonl": 1, "csv": 2}[ending]  # what the first row is called
    write(tmp_path / f"pairs.{ending}", [*ROWS, ("x", "en", " ", "text"), ("x", "de", "text", "text")])
    with pytest.raises(UserError, match="null or has no text") as caught:
        load(tmp_path, "cache")
    assert caught.value.path == f"{place.format(len(ROWS) + after)} -> query"
    write(tmp_path / f"pairs.{ending}", [("x", "en", "", "text"), *ROWS, ROWS[11]])
    with pytest.raises(UserError, match="stands twice") as caught:
        load(tmp_path, "cache", empty="skip")
    assert caught.value.file == tmp_path / f"pairs.{ending}"
    assert caught.value.path == place.format(1 + len(ROWS) + after)
    assert str(caught.value.allowed).endswith(f"the other is {place.format(12 + after)}")
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_a_language_that_is_in_no_part_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_table, "PART_ROWS", 4)
    write(tmp_path / "pairs.csv", ROWS)
    with pytest.raises(UserError, match="language not in the data set") as caught:
        load(tmp_path, "cache", languages=("en", "fr"))
    assert (caught.value.seen, caught.value.allowed) == ("fr", "de, en, th")


def test_read_at_once_a_row_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_table, "PART_ROWS", 4)
    write(tmp_path / "pairs.jsonl", [("x", "en", "", "text"), *ROWS])
    wanted = text_table.Wanted(names=dict(zip(COLUMNS, COLUMNS, strict=True)), free_text=("query",))
    read = text_table.read_text_table(tmp_path / "pairs.jsonl", wanted, skip_empty=True)
    assert [read.place(row) for row in range(len(ROWS))] == [f"line {row + 2}" for row in range(len(ROWS))]
    assert read.table.column("query").to_pylist() == [row[2] for row in ROWS]
