"""Files of scores say what they were measured on, and ``hybridbatch compare`` listens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from tests.command_line import CommandLine
from tests.score_tables import score_table, task

from hybridbatch.evaluation.measured_task import MeasuredTask, measured_task
from hybridbatch.evaluation.score_files import read_schema, read_scores, write_scores

FEW = ("--resamples", "200", "-m", "map_multi")
TASK = task()


def written(path: Path, seed: int, **changes: str) -> Path:
    """Write scores of the task with another name or fingerprint; ``perturbation`` as it was perturbed."""
    perturbation = changes.pop("perturbation", None)
    measured = MeasuredTask.of(replace(TASK, **changes), perturbation)  # type: ignore[arg-type]
    write_scores(measured.noted_in(score_table(0.6, seed, TASK)), path)
    return path


def test_a_file_says_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "scores.parquet"
    write_scores(score_table(0.6, 0, replace(TASK, name="xquad", fingerprint="abc")), file)
    assert measured_task(read_scores(file).schema) == MeasuredTask("xquad", "abc", None)
    written(file, 0, perturbation="typos 0.1 of questions, seed 0")
    assert measured_task(read_schema(file)) == MeasuredTask("made", "made", "typos 0.1 of questions, seed 0")


@pytest.mark.parametrize(
    "kept", [None, b"", b"{", b"[]", b"\xff", b'{"dataset": "a"}', b'{"dataset": 1, "fingerprint": ""}']
)
def test_a_file_that_does_not_say_is_read(kept: bytes | None) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata(None if kept is None else {b"hybridbatch": kept})
    assert measured_task(table.schema) is None


def test_a_comparison_of_files_names_their_data_set(command_line: CommandLine, tmp_path: Path) -> None:
    files = [written(tmp_path / f"{seed}.parquet", seed, name="xquad-r") for seed in range(2)]
    done = command_line("compare", *files, "--json", *FEW)
    assert [one["dataset"] for one in done.json["comparisons"]] == ["xquad-r"]
    shown = "".join(command_line("compare", *files, *FEW).out.split())  # a long path is wrapped
    assert f"xquad-r:{files[0]}" in shown
    assert "| xquad-r |" in command_line("compare", *files, "--markdown", *FEW).out
    assert "xquad-r &" in command_line("compare", *files, "--latex", *FEW).out
    old = tmp_path / "old.parquet"
    write_scores(score_table(0.6, 3, TASK).replace_schema_metadata(None), old)
    assert command_line("compare", files[0], old, "--json", *FEW).json["comparisons"][0]["dataset"] == "xquad-r"
    alone = command_line("compare", old, f"{tmp_path}/./old.parquet", "--json", *FEW)
    assert alone.json["comparisons"][0]["dataset"] is None


def test_files_of_different_data_are_not_paired(command_line: CommandLine, tmp_path: Path) -> None:
    native = written(tmp_path / "native.parquet", 0, name="xcopa", fingerprint="native")
    machine = written(tmp_path / "machine.parquet", 1, name="xcopa", fingerprint="machine")
    other = written(tmp_path / "other.parquet", 1, name="xnli", fingerprint="other")
    renamed = written(tmp_path / "renamed.parquet", 1, name="mine", fingerprint="native")
    command_line("compare", native, machine).is_message(None, "xcopa held other text", "machine.parquet")
    command_line("compare", f"{native},{machine}", renamed).is_message("RUNS", "different data sets")
    command_line("compare", native, other).is_message("RUNS", "different data sets", "xnli")
    command_line("compare", native, machine, "-d", "elsewhere").is_message(str(native), "another data set", "xcopa")
    assert command_line("compare", native, renamed, *FEW).code == 0


def test_a_perturbation_is_compared_and_told(command_line: CommandLine, tmp_path: Path) -> None:
    clean = written(tmp_path / "clean.parquet", 0)
    typos = written(tmp_path / "typos.parquet", 1, perturbation="typos 0.1 of questions, seed 0")
    found = json.loads(command_line("compare", clean, typos, "--json", *FEW).out)
    (note,) = [one for one in found["notes"] if "perturb" in one]
    assert note.endswith("on made: measured under perturbations: none known; typos 0.1 of questions, seed 0")
    assert "typos 0.1 of questions, seed 0" in command_line("compare", clean, typos, "--markdown", *FEW).out
