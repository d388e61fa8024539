"""Memory-mapped tables: written once, whole or not at all."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridbatch.datasets.arrow_cache import END_OF_STREAM, cached_table, column_of, table_fingerprint, text_column
from hybridbatch.foundation.errors import StoreError, UserError

TABLE = pa.table({"text": ["one", "zwei", "三"], "language": ["en", "de", "zh"]})


def build_never() -> list[pa.Table]:
    raise AssertionError("the table is there and must not be built again")


def load_in_process(cache: str) -> list[str]:
    return list(column_of(cached_table(Path(cache), "shared", lambda: [TABLE]), "text").to_pylist())


def test_a_table_is_built_once_and_memory_mapped(tmp_path: Path) -> None:
    first = cached_table(tmp_path, "key", lambda: TABLE.to_batches(max_chunksize=2))
    second = cached_table(tmp_path, "key", build_never)
    assert column_of(first, "text").to_pylist() == column_of(second, "text").to_pylist() == ["one", "zwei", "三"]
    assert [Path(file["filename"]).name for file in second.cache_files] == ["key.arrow"]
    assert len(column_of(second, "text").chunks) == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "cut at a batch", "garbage", "broken text"])
def test_a_damaged_file_is_built_again(tmp_path: Path, damage: str) -> None:
    cached_table(tmp_path, "key", lambda: [TABLE])
    (file,) = (tmp_path / "tables").iterdir()
    whole = file.read_bytes()
    damaged = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "cut at a batch": whole[: -len(END_OF_STREAM)],
        "garbage": b"x" * len(whole),
        "broken text": whole.replace("三".encode(), b"\xff\xff\xff"),
    }[damage]
    assert damaged != whole
    file.write_bytes(damaged)
    assert column_of(cached_table(tmp_path, "key", lambda: [TABLE]), "text").to_pylist() == ["one", "zwei", "三"]
    assert file.read_bytes() == whole


def test_a_failing_builder_leaves_nothing_behind(tmp_path: Path) -> None:
    def build() -> list[pa.Table]:
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        cached_table(tmp_path, "key", build)
    with pytest.raises(ValueError, match="at least one part"):
        cached_table(tmp_path, "key", list)
    assert not list(tmp_path.rglob("*.arrow*"))


def test_several_processes_may_build_the_same_table(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(load_in_process, [str(tmp_path)] * 4))
    assert results == [["one", "zwei", "三"]] * 4
    assert [file.name for file in (tmp_path / "tables").iterdir()] == ["shared.arrow"]


def test_a_cache_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    closed = Path("/sys/kernel")  # a folder in which nobody, root included, can make a file
    if not closed.is_dir():
        pytest.skip("this system has no /sys")
    (tmp_path / "tables").symlink_to(closed)
    with pytest.raises(StoreError, match="cannot write"):
        cached_table(tmp_path, "key", lambda: [TABLE])


def test_half_a_surrogate_pair_is_refused_with_the_text() -> None:
    with pytest.raises(UserError, match="not valid Unicode") as caught:
        text_column(["fine", "broken \ud83d"], "pairs.jsonl")
    assert caught.value.seen == "broken \ud83d"


@given(st.lists(st.text(), max_size=8), st.integers(1, 8), st.integers(0, 8))
def test_fingerprint_depends_on_content_and_not_on_chunks(texts: list[str], size: int, cut: int) -> None:
    try:
        plain = pa.table({"text": pa.array(texts, pa.string())})
    except UnicodeEncodeError:
        return
    chunked = pa.Table.from_batches(plain.to_batches(max_chunksize=size), plain.schema)
    sliced = pa.concat_tables([plain.slice(0, cut), plain.slice(cut)])
    assert table_fingerprint(plain) == table_fingerprint(chunked) == table_fingerprint(sliced)
    assert table_fingerprint(plain) != table_fingerprint(pa.table({"text": [*texts, "more"]}))
    assert table_fingerprint(plain) != table_fingerprint(plain.rename_columns(["other"]))


def test_fingerprint_sees_where_one_text_ends_and_the_next_begins() -> None:
    fingerprints = {table_fingerprint(pa.table({"text": texts})) for texts in (["ab", "c"], ["a", "bc"], ["abc", ""])}
    assert len(fingerprints) == 3
