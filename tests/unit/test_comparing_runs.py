"""``hybridbatch compare A B`` as a person uses it: trials, baselines, files of scores and models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest
from tests.command_line import CommandLine
from tests.score_tables import score_table, task

from hybridbatch.evaluation.means import summarise
from hybridbatch.evaluation.score_files import read_scores, write_scores
from hybridbatch.report.runs import StoredTrial, parts_of
from hybridbatch.spec.folders import HomeFolder

FEW = ("--resamples", "200")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of scores of three runs."""
    paths = [tmp_path / f"run{number}.parquet" for number in range(3)]
    for path, (noise, seed) in zip(paths, ((0.6, 0), (0.6, 1), (1.4, 2)), strict=True):
        write_scores(score_table(noise, seed), path)
    return paths


@pytest.fixture
def two_seeds(finished: HomeFolder, tmp_path: Path) -> HomeFolder:
    """The finished study, its baseline trained twice: trial 9 has half the average precision of trial 0."""
    home = HomeFolder(shutil.copytree(finished.path, tmp_path / "home"))
    study = home.study("small")
    shutil.copytree(study.trial(0).path, study.trial(9).path)
    result = json.loads((study.trial(9).path / "result.json").read_text(encoding="utf-8"))
    (study.trial(9).path / "result.json").write_text(json.dumps(result | {"number": 9, "seed": 1}), encoding="utf-8")
    table = read_scores(study.trial(0).scores("small_report"))
    column = table.column_names.index("map")
    write_scores(table.set_column(column, "map", pc.divide(table["map"], 2.0)), study.trial(9).scores("small_report"))
    return home


def test_trials_are_compared_by_their_stored_scores(command_line: CommandLine, two_seeds: HomeFolder) -> None:
    done = command_line("compare", "small/0", "small/9", "--home", two_seeds.path, "--json", *FEW)
    assert (done.code, done.err) == (0, "")
    assert [(run["name"], run["dataset"], run["origins"]) for run in done.json["runs"]] == [
        (name, "small_report", [name]) for name in ("small/0", "small/9")
    ]
    summary = two_seeds.study("small").results()[0].report["small_report"].summary
    for one in done.json["comparisons"]:
        halved = summary[one["measure"]] / (1 if one["measure"] == "rank_distance" else 2)
        assert one["first_mean"] == pytest.approx(summary[one["measure"]], abs=1e-12)
        assert one["second_mean"] == pytest.approx(halved, abs=1e-12)
        assert one["better"] == (None if one["measure"] == "rank_distance" else "first")
    said = command_line("compare", "small/0", "small/9", "--home", two_seeds.path, *FEW)
    assert "small_report: small/0 (1 seed) - small/9 (1 seed)" in said.out


def test_best_is_the_best_trial_unless_a_baseline_is_called_so(two_seeds: HomeFolder) -> None:
    study = two_seeds.study("small")
    file = study.trial(9).path / "result.json"
    result = json.loads(file.read_text(encoding="utf-8"))
    for value, best in ((result["values"][0] + 0.1, 9), (result["values"][0] - 0.1, 0)):
        file.write_text(json.dumps(result | {"values": [value]}), encoding="utf-8")
        assert [part.name for part in parts_of("small/best", two_seeds)] == [f"small/{best}"]
    file.write_text(json.dumps(result | {"values": [0.0], "baseline": "best"}), encoding="utf-8")
    assert [part.name for part in parts_of("small/best", two_seeds)] == ["small/9"]


def test_a_baseline_is_all_its_complete_trials(command_line: CommandLine, two_seeds: HomeFolder) -> None:
    parts = parts_of("small/mono", two_seeds)
    assert [part.name for part in parts] == ["small/0", "small/9"]
    assert parts == parts_of("small/0, small/9", two_seeds)
    assert isinstance(parts[0], StoredTrial)
    assert parts[0].fingerprint("small_report")
    compare = ["compare", "small/mono", "--home", two_seeds.path]
    found = command_line(*compare, "small/0", "--json", *FEW).json["comparisons"]
    assert [one["seeds"] for one in found] == [[2, 1]] * 4
    study = str(two_seeds.study("small").path)
    command_line(*compare, "small/momo").is_message(study, "no complete trial of such a baseline", "'momo'", "did you")
    command_line(*compare, "small/1").is_message(study, "not complete", "small/1, failed", "a complete trial: 0")
    command_line(*compare, "small").is_message("RUNS", "this is a study, not a run", "small/NUMBER")
    command_line(*compare, "small/0,small/0").is_message("RUNS", "stands twice", "small/0")


def test_files_are_compared_and_written_in_every_format(
    command_line: CommandLine, files: list[Path], tmp_path: Path
) -> None:
    for suffix, start in ((".json", "{"), (".csv", "dataset,first"), (".md", "| data set"), (".tex", "% needs")):
        target = tmp_path / f"out{suffix}"
        done = command_line("compare", files[0], files[2], "--output", target, *FEW)
        assert (done.code, done.out.strip()) == (0, str(target))
        assert target.read_text(encoding="utf-8").startswith(start)
    printed = command_line("compare", files[0], files[2], "--json", *FEW).out
    assert json.loads(printed) == json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert command_line("compare", files[0], files[2], "--markdown", *FEW).out == (tmp_path / "out.md").read_text()


def test_seeds_with_commas(command_line: CommandLine, files: list[Path]) -> None:
    both = f"{files[0]},{files[1]}"
    done = command_line("compare", both, files[2], "--json", "-m", "map_multi", *FEW)
    (one,) = done.json["comparisons"]
    assert (one["seeds"], one["test"]) == ([2, 1], "two-level")
    means = [summarise(read_scores(file)).summary["map_multi"] for file in files]
    assert one["difference"] == pytest.approx((means[0] + means[1]) / 2 - means[2], abs=1e-12)


def test_a_model_is_evaluated_on_the_data_set_that_is_named(command_line: CommandLine, two_seeds: HomeFolder) -> None:
    """A trial's own model, named as a folder, differs in nothing from the trial."""
    home = two_seeds
    folder = home.study("small").trial(0).model
    named = ["--dataset", "parallel-pairs", "--set", "path=small_report.csv", "--home", home.path]
    done = command_line("compare", "small/0", folder, *named, "--json", *FEW)
    assert done.code == 0, done.err
    for one in done.json["comparisons"]:
        assert one["difference"] == pytest.approx(0, abs=1e-9), one["measure"]
        assert not one["holds"]
    command_line("compare", "small/0", folder, "--home", home.path).is_message(
        "RUNS", "to evaluate a model takes a data set", "--dataset"
    )
    command_line("compare", "small/0", folder, "--home", home.path, "-d", "nowhere").is_message(
        "--dataset", "no scores of this data set", "'nowhere'", "small_report"
    )


def test_a_model_is_evaluated_with_the_prefixes_and_precision_that_are_given(
    command_line: CommandLine, two_seeds: HomeFolder, tmp_path: Path
) -> None:
    model, scores = two_seeds.study("small").trial(0).model, tmp_path / "scores.parquet"
    pairs = ["--dataset", "parallel-pairs", "--set", "path=small_report.csv", "--home", two_seeds.path]
    how = ["--question-prefix", "the one: ", "--passage-prefix", "", "--precision", "bf16"]
    assert command_line("evaluate", model, *pairs, *how, "--scores", scores).code == 0
    of_measure = ("-m", "map_multi", "-m", "rank_distance")
    same = command_line("compare", scores, model, *pairs, *how, *of_measure, "--json", *FEW).json["comparisons"]
    assert [one["difference"] for one in same] == [0, 0]
    other = command_line("compare", scores, model, *pairs, *of_measure, "--json", *FEW).json["comparisons"]
    assert any(one["difference"] != 0 for one in other)


@pytest.mark.parametrize(
    ("options", "place", "problem"),
    [
        (["--measure", "map_mutli"], "--measure", "unknown measure"),
        (["--against", "c"], "--against", "none of the runs is called so"),
        (["--json", "--csv"], "--json, --csv", "one format at a time"),
        (["--output", "out.txt"], "--output", "no known ending"),
        (["--test", "two-level"], "--test", "several seeds"),
        (["--precision", "fp8"], "--precision", "no such precision"),
    ],
)
def test_mistakes_are_said(
    command_line: CommandLine, files: list[Path], options: list[str], place: str, problem: str
) -> None:
    command_line("compare", files[0], files[1], *options).is_message(place, problem)


def test_files_that_cannot_be_compared_are_said(command_line: CommandLine, files: list[Path], tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.parquet"
    command_line("compare", files[0], nowhere).is_message(str(nowhere), "no such file of scores")
    nowhere.write_bytes(b"PAR1")
    command_line("compare", files[0], nowhere).is_message(str(nowhere), "not a parquet file of scores")
    write_scores(score_table(0.5, 0, task(items=range(200, 230))), nowhere)
    command_line("compare", files[0], nowhere).is_message(None, "these runs have no question in common")
    command_line("compare", files[0], f"{files[1]},").is_message("RUNS", "a name is empty")


def test_one_run_alone_is_said(command_line: CommandLine, files: list[Path], two_seeds: HomeFolder) -> None:
    model = two_seeds.study("small").trial(0).model
    for one in (files[0], model, "small/0", "small/mono", "small/0,small/9", "intfloat/multilingual-e5-small"):
        done = command_line("compare", one, "--home", two_seeds.path)
        done.is_message("RUNS", "two runs at least are needed", str(one))
    for options in ([], ["--against", files[0]]):
        done = command_line("compare", files[0], files[0], *options)
        done.is_message("RUNS", "a run stands twice", str(files[0]), "two different runs")


def test_options_of_runs_are_no_options_of_a_study(command_line: CommandLine, finished: HomeFolder) -> None:
    done = command_line("compare", "small", "--latex", "--home", finished.path)
    done.is_message("RUNS", "these options compare runs")
    done = command_line("compare", "small", "--question-prefix", "", "--home", finished.path)
    done.is_message("RUNS", "these options compare runs")
