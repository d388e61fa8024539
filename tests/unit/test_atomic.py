"""Files and folders that are whole or not there."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hybridbatch.foundation import atomic


def test_text_and_json_come_back_and_folders_are_made(tmp_path: Path):
    atomic.write_text(tmp_path / "a" / "b.txt", "größe\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "größe\n".encode()
    atomic.write_json(tmp_path / "c.json", {"ü": [1, 0.1, None]})
    assert atomic.read_json(tmp_path / "c.json") == {"ü": [1, 0.1, None]}


def test_json_holds_no_value_that_json_does_not_have(tmp_path: Path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "c.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_content_and_leaves_no_draft(tmp_path: Path):
    file = tmp_path / "a.txt"
    atomic.write_text(file, "old")
    with pytest.raises(UnicodeEncodeError):
        atomic.write_text(file, "half of a pair: \ud83d")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_appears_when_its_block_ends(tmp_path: Path):
    path = tmp_path / "deep" / "file.bin"
    with atomic.file_written_whole(path) as file:
        file.write(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_drafts_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path):
    code = """
import os, sys
from pathlib import Path
from hybridbatch.foundation import atomic
folder = Path(sys.argv[1])
with atomic.folder_written_whole(folder / "model") as draft, atomic.file_written_whole(folder / "scores" / "a.parquet"):
    (draft / "weights").write_text("half")
    os._exit(9)  # as kill -9 does: no block is left
"""
    atomic.write_text(tmp_path / "scores" / "b.parquet", "whole")
    (tmp_path / ".gitignore").write_text("")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (tmp_path / ".model.0123abcd.0").mkdir()  # killed while an old folder was being removed
    assert len(list(tmp_path.rglob(".*"))) == 4
    atomic.remove_drafts(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == [".gitignore", "scores", "scores/b.parquet"]


def test_a_folder_appears_when_its_block_ends(tmp_path: Path):
    folder = tmp_path / "deep" / "folder"
    with atomic.folder_written_whole(folder) as draft:
        (draft / "inside").mkdir()
        (draft / "inside" / "file").write_text("content")
        assert not folder.exists()
        assert draft.parent == folder.parent
    assert (folder / "inside" / "file").read_text() == "content"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_failed_folder_keeps_the_old_one_and_leaves_no_draft(tmp_path: Path):
    folder = tmp_path / "folder"
    with atomic.folder_written_whole(folder) as draft:
        (draft / "file").write_text("old")

    def interrupted() -> None:
        with atomic.folder_written_whole(folder) as draft:
            (draft / "file").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (folder / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(("replace", "expected"), [(True, ["new"]), (False, ["old"])])
def test_a_folder_that_is_there_already_is_replaced_or_kept(tmp_path: Path, replace: bool, expected: list[str]):
    folder = tmp_path / "folder"
    with atomic.folder_written_whole(folder) as draft:
        (draft / "old").write_text("")
    with atomic.folder_written_whole(folder, replace=replace) as draft:
        (draft / "new").write_text("")
    assert [file.name for file in folder.iterdir()] == expected
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("replace", [True, False])
def test_several_that_make_the_same_folder_at_once_do_not_disturb_each_other(tmp_path: Path, replace: bool):
    def write(_: int) -> None:
        with atomic.folder_written_whole(tmp_path / "folder", replace=replace) as draft:
            (draft / "file").write_text("content")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(80)))
    assert (tmp_path / "folder" / "file").read_text() == "content"
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]
