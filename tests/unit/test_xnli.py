"""XNLI from parquet, as in the data folder and as on the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.datasets.xnli import Xnli
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation

Columns = dict[str, list[Any]]


def rows(language: str, labels: str = "ECN NEC", premises: str = "aaabbb") -> Columns:
    """Return rows in the form of the data folder: a label is given by its first letter."""
    names = {"E": "entailment", "N": "neutral", "C": "contradiction"}
    written = [names[letter] for letter in labels.replace(" ", "")]
    return {
        "item": [str(4 + row) for row in range(len(written))],
        "premise": [f"premise {premise} {language}" for premise in premises],
        "hypothesis": [f"hypothesis {row} {language}" for row in range(len(written))],
        "label": list[Any](written),
    }


def write(file: Path, columns: Columns) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)
    return file


@pytest.fixture
def location(tmp_path: Path) -> DataLocation:
    for language in ("en", "de"):
        write(tmp_path / "eval/xnli" / language / "test.parquet", rows(language))
    return DataLocation(root=tmp_path, cache=tmp_path / "cache")


def german(location: DataLocation) -> Path:
    return location.root / "eval/xnli/de/test.parquet"


def load(location: DataLocation, **settings: Any) -> RetrievalTask:
    return Xnli.model_validate({"languages": ("en", "de")} | settings).task(location)


def test_the_entailed_hypothesis_is_relevant_and_the_contradiction_stands_against_it(location: DataLocation) -> None:
    task = load(location)
    assert column_of(task.questions, "item").to_pylist() == ["test-0", "test-1"] * 2
    assert column_of(task.questions, "text").to_pylist() == [f"premise {p} {x}" for x in ("en", "de") for p in "ab"]
    assert column_of(task.candidates, "text").to_pylist() == [
        f"hypothesis {n} {x}" for x in ("en", "de") for n in range(6)
    ]
    assert task.relevant_candidates.tolist() == [0, 6, 4, 10] * 2
    assert task.contrasts_QL is not None
    assert task.contrasts_QL.tolist() == [[1, 7], [5, 11]] * 2


def test_labelled_pairs_join_by_item_and_label(location: DataLocation) -> None:
    write(german(location), rows("de", "CEN NEC"))
    pairs = Xnli(languages=("en", "de")).labelled_pairs(location)
    assert (pairs.name, pairs.labels) == ("xnli-test", ("entailment", "neutral", "contradiction"))
    assert [(pair.item, pair.label) for pair in pairs.pairs["en"]] == [
        ("test-0", 0), ("test-0", 1), ("test-0", 2), ("test-1", 0), ("test-1", 1), ("test-1", 2),
    ]  # fmt: skip
    for german_pair, english in zip(pairs.pairs["de"], pairs.pairs["en"], strict=True):
        assert (german_pair.item, german_pair.label) == (english.item, english.label)
    assert [pair.second for pair in pairs.pairs["en"]] == [f"hypothesis {n} en" for n in (0, 2, 1, 4, 3, 5)]
    assert [pair.second for pair in pairs.pairs["de"]] == [f"hypothesis {n} de" for n in (1, 2, 0, 4, 3, 5)]
    assert {pair.first for pair in pairs.pairs["de"]} == {"premise a de", "premise b de"}


def test_the_layout_of_the_hub_loads_as_the_same_task(location: DataLocation) -> None:
    before = load(location).fingerprint
    for language in ("en", "de"):
        (location.root / "eval/xnli" / language / "test.parquet").unlink()
        columns = rows(language) | {"label": [0, 2, 1, 1, 0, 2]}
        del columns["item"]
        write(location.root / "eval/xnli" / language / "test-00000-of-00001.parquet", columns)
    assert load(location).fingerprint == before


def test_one_language_may_lie_as_on_the_hub_and_its_hypotheses_in_another_order(location: DataLocation) -> None:
    columns = rows("de", labels="ENC NEC") | {"label": [0, 1, 2, 1, 0, 2]}
    del columns["item"]
    write(german(location), columns)
    task = load(location)
    assert task.relevant_candidates.tolist() == [0, 6, 4, 10] * 2
    assert task.contrasts_QL is not None
    assert task.contrasts_QL.tolist() == [[1, 8], [5, 11]] * 2
    # with named rows, too, only their order within the premise may differ
    named = rows("de", labels="CEN NEC")
    write(german(location), named | {"item": ["5", "4", "6", "7", "8", "9"]})
    assert load(location).relevant_candidates.tolist() == [0, 7, 4, 10] * 2


def test_a_premise_that_is_used_twice_is_two_items(location: DataLocation) -> None:
    columns = rows("en")
    columns["premise"] = ["the same premise"] * 6
    columns["hypothesis"][1] = columns["hypothesis"][0]  # entailed and contradicted: as in the public files, kept
    write(location.root / "eval/xnli/en/test.parquet", columns)
    task = load(location)
    assert column_of(task.questions, "text").to_pylist()[:2] == ["the same premise"] * 2
    assert task.relevant_candidates.tolist() == [0, 6, 4, 10] * 2
    assert len(task.candidates) == 12


Damage = Callable[[Columns], object]


@pytest.mark.parametrize(
    ("damage", "path", "message"),
    [
        (lambda c: c["label"].__setitem__(4, "entails"), "record 4 -> label", "unknown label"),
        (lambda c: c.update(label=[0, 2, 1, 1, 3, 2]), "record 4 -> label", "unknown label"),
        (lambda c: c.update(label=[0.0] * 6), "label", "wrong type of column"),
        (lambda c: c["label"].__setitem__(5, None), "record 5 -> label", "null or has no text"),
        (lambda c: c["premise"].__setitem__(0, None), "record 0 -> premise", "null or has no text"),
        (lambda c: c["hypothesis"].__setitem__(2, " "), "record 2 -> hypothesis", "null or has no text"),
        (lambda c: c.pop("hypothesis"), "", "missing column"),
        (lambda c: c.update(premise=list(range(6))), "premise", "wrong type of column"),
        (lambda c: c["label"].__setitem__(4, "neutral"), "record 3", "one hypothesis of each label"),
        (lambda c: c["label"].__setitem__(2, "contradiction"), "record 0", "one hypothesis of each label"),
        (lambda c: c["premise"].__setitem__(5, "other"), "record 3", "do not share their premise"),
        (lambda c: [column.pop(0) for column in c.values()], "record 0", "do not share their premise"),
        (lambda c: [column.pop() for column in c.values()], "record 3", "one hypothesis of each label"),
        (lambda c: [column.__delitem__(slice(3)) for column in c.values()], "", "differ in their number of rows"),
        (lambda c: [column.clear() for column in c.values()], "", "no rows|wrong type"),
        (lambda c: c["item"].reverse(), "record 0 -> item", "different rows at the same place"),
    ],
)
def test_broken_rows_are_named_by_file_and_record(
    location: DataLocation, damage: Damage, path: str, message: str
) -> None:
    columns = rows("de")
    damage(columns)
    file = write(german(location), columns)
    with pytest.raises(UserError, match=message) as caught:
        load(location)
    assert caught.value.file == file
    assert path in (caught.value.path or "")
    assert caught.value.allowed


@pytest.mark.parametrize("damage", [lambda whole: whole[:-9], lambda _: b"", lambda whole: whole[:4] + whole[40:]])
def test_a_cut_file_is_named(location: DataLocation, damage: Callable[[bytes], bytes]) -> None:
    german(location).write_bytes(damage(german(location).read_bytes()))
    with pytest.raises(UserError, match=r"de/test\.parquet: not a readable parquet file"):
        load(location)


def test_text_that_is_not_utf8_is_refused(location: DataLocation) -> None:
    broken = pa.array([b"\xff\xfe"] * 6, pa.binary()).view(pa.string())
    table = pa.table(rows("de"))
    pq.write_table(table.set_column(2, "hypothesis", broken), german(location))
    with pytest.raises(UserError, match=r"(?s)not a readable parquet file.*UTF8"):
        load(location)


def test_missing_files_are_all_named(location: DataLocation) -> None:
    with pytest.raises(UserError, match=r"no th/test-00000-of-00001\.parquet, zh/test-00000-of-00001\.parquet"):
        load(location, languages=("en", "th", "zh"))
    with pytest.raises(UserError, match=r"no en/validation-00000-of-00001\.parquet"):
        load(location, split="validation")


def test_every_language_can_be_fetched() -> None:
    files = Xnli().remote_files()
    assert len(files) == 15
    assert all("/b8dd5d7af51114dbda02c0e3f6133f332186418e/" in file.url for file in files)
    assert {file.path for file in files} == {
        f"eval/xnli/{language}/test-00000-of-00001.parquet"
        for language in ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
    }
    assert Xnli(split="validation", languages=("en",)).remote_files()[0].checksum is None


def test_the_files_that_are_here_have_their_known_sizes(data_root: Path, tmp_path: Path) -> None:
    task = Xnli(languages=("en", "de", "es")).task(DataLocation(root=data_root, cache=tmp_path))
    assert (len(task.questions), len(task.candidates), len(task.relevant_candidates)) == (5_010, 15_030, 15_030)
    items = column_of(task.questions, "item").to_pylist()
    assert items[:1670] == items[1670:3340] == items[3340:] == [f"test-{number}" for number in range(1670)]
    texts = column_of(task.questions, "text").to_pylist()
    # rows 3042 and 4623: one premise in English, two in German
    assert texts[1014] == texts[1541]
    assert texts[1670 + 1014] != texts[1670 + 1541]
    assert len(set(texts[:1670])) == 1669


def test_a_record_of_the_real_files(data_root: Path, tmp_path: Path) -> None:
    task = Xnli(languages=("en", "de")).task(DataLocation(root=data_root, cache=tmp_path))
    candidates = column_of(task.candidates, "text").to_pylist()
    assert task.contrasts_QL is not None
    for column, language in enumerate(task.languages):
        table = pq.read_table(data_root / f"eval/xnli/{language}/test.parquet").to_pylist()
        hypothesis_of = {row["item"]: row["hypothesis"] for row in table}
        # read by eye: 5 says that they talked again, as the premise does, and 4 that they did not
        assert candidates[task.relevant_candidates[column]] == hypothesis_of["5"]
        assert candidates[task.contrasts_QL[0, column]] == hypothesis_of["4"]
