"""The command line as others script it: names, options, JSON keys; and how little it loads."""

from __future__ import annotations

import csv
import io
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.command_line import CommandLine
from tests.small_study import LANGUAGES, drop_language, write_data, write_file

from hybridbatch import __version__
from hybridbatch.cli import app
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.objectives import objective_directions

HEAVY = (
    "faiss",
    "torch",
    "transformers",
    "ray",
    "optuna",
    "mlflow",
    "datasets",
    "pandas",
    "pyarrow",
    "plotly",
    "matplotlib",
)
# What others may have written into their scripts: an option may be added, never taken away or renamed.
COMMANDS = {
    "plan": ["FILE", "--data", "--home", "--json", "--trials"],
    "extend": ["STUDY", "--file", "--home", "--json", "--trials"],
    "run": ["FILE", "--address", "--data", "--home", "--local", "--no-token", "--trials", "--verbose -v"],
    "resume": ["STUDY", "--address", "--data", "--home", "--local", "--no-token", "--verbose -v"],
    "status": ["STUDY", "--address", "--home", "--json", "--no-token"],
    "submit": ["FILE", "--address", "--data", "--detach", "--home", "--no-token", "--trials", "--verbose -v"],
    "follow": ["JOB", "--address", "--no-token"],
    "stores": ["--folder", "--host", "--mlflow-port", "--postgresql-port"],
    "stop": ["JOB", "--address", "--no-token"],
    "compare": [
        "RUNS", "--against", "--alpha", "--cells", "--csv", "--data", "--dataset -d", "--device", "--home",
        "--interval", "--json", "--latex", "--markdown", "--measure -m", "--output -o", "--passage-prefix",
        "--per-language", "--precision", "--question-prefix", "--resamples", "--seed", "--set", "--test",
        "--verbose -v",
    ],
    "report": ["STUDY", "--home", "--output -o"],
    "evaluate": [
        "MODEL", "--cells", "--data", "--dataset -d", "--device", "--home", "--json", "--keep-embeddings",
        "--passage-prefix", "--precision", "--question-prefix", "--scores", "--set", "--verbose -v",
    ],
    "export": ["MODEL", "FOLDER", "--force", "--home", "--json", "--verbose -v"],
    "register": ["TRIAL", "--alias", "--home", "--json", "--name", "--verbose -v"],
    "search": [
        "MODEL", "--address", "--data", "--dataset -d", "--device", "--home", "--index", "--json", "--local",
        "--no-token", "--output -o", "--passage-prefix", "--question-prefix", "--scores", "--set", "--shards",
        "--store", "--top", "--verbose -v", "--workers",
    ],
    "robustness": [
        "MODELS", "--csv", "--data", "--dataset -d", "--device", "--home", "--json", "--measure -m", "--output -o",
        "--passage-prefix", "--perturb -p", "--perturb-set", "--question-prefix", "--scores", "--seed", "--seeds",
        "--set", "--side", "--strength", "--verbose -v",
    ],
    "probe": [
        "MODELS", "--csv", "--data", "--dataset -d", "--device", "--form", "--home", "--items", "--json", "--negatives",
        "--output -o", "--passage-prefix", "--passages -n", "--question-prefix", "--seed", "--set", "--test-share",
        "--training-examples", "--verbose -v",
    ],
    "parc": [
        "RETRIEVER", "--aggregate", "--csv", "--data", "--dataset -d", "--device", "--home", "--items", "--json",
        "--label-word", "--labels", "--language-model", "--longest", "--neighbours -k", "--passage-prefix", "--pattern",
        "--pool", "--pool-language", "--pool-share", "--predictions", "--question-prefix", "--retrieve-by", "--seed",
        "--set", "--verbose -v",
    ],
    "data list": ["--data", "--home", "--json"],
    "data show": ["NAME", "--data", "--home", "--json", "--set"],
    "data stats": ["NAME", "--data", "--home", "--json", "--set"],
    "data fetch": ["NAME", "--data", "--force", "--home", "--json", "--set"],
    "ui": ["--home", "--mlflow-port", "--optuna-port"],
    "doctor": ["STUDY", "--data", "--home", "--json", "--ledger", "--repair", "--tracking"],
    "schema": ["--markdown"],
}  # fmt: skip
RESULT_KEYS = {
    "dataset", "questions", "candidates", "map_mono", "map_cross", "map_multi", "recall1_mono", "recall1_cross",
    "recall10_multi", "rank_distance", "cells", "multi", "bias", "answer_languages", "more_cells",
    "seconds",
}  # fmt: skip


def test_commands_and_options_are_frozen() -> None:
    found = {}
    for name, command in commands(typer.main.get_command(app)):
        parameters = command.params
        arguments = [one.name.upper() for one in parameters if one.param_type_name == "argument"]
        found[name] = arguments + sorted(" ".join(one.opts) for one in parameters if one.param_type_name == "option")
    assert found == COMMANDS


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command below ``group`` after its name, with those of the groups it is in."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_help_of_every_command_loads_no_heavy_library() -> None:
    code = f"""
import contextlib, io, sys
from hybridbatch import cli
for command in ([], *(name.split() for name in {["data", *COMMANDS]})):
    sys.argv = ["hybridbatch", *command, "--help"]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
        cli.main()
    assert "Usage: hybridbatch" in out.getvalue(), command
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(
    "command", ["evaluate", "search", "robustness", "probe", "parc", "compare", "data show", "data stats", "data fetch"]
)
def test_help_shows_examples_whole(command: str, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = command_line(*command.split(), "--help").out
    assert "languages=[en" in said
    assert "…" not in said


@pytest.mark.parametrize("command", [("list",), ("show", "beir"), ("show", "miracl"), ("show", "mlqa-r")], ids=" ".join)
def test_descriptions_of_data_are_folded_and_indented(
    command: tuple[str, ...], command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = command_line("data", *command, "--json").json
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.rstrip() for line in command_line("data", *command).out.splitlines()]
    assert not [line for line in lines if len(line) > 80 and not line.startswith(("files ", "  "))]
    for entry in found if command == ("list",) else [found]:
        start = next(n for n, line in enumerate(lines) if line.split()[:1] == [entry["name"]])
        said = list(itertools.takewhile(lambda line: line.startswith("    "), lines[start + 1 :]))
        assert max(map(len, said)) <= 80
        assert " ".join(map(str.strip, said)).endswith(entry["description"])


def test_version(command_line: CommandLine) -> None:
    assert command_line("--version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        "compare study",
        "robustness model -d xquad-r -p typos",
        "probe model -d xquad-r",
        "parc model --language-model model",
    ],
)
def test_one_format_at_a_time(command: str, command_line: CommandLine) -> None:
    command_line(*command.split(), "--json", "--csv").is_message("--json, --csv", "one format at a time")


def test_plan_says_what_would_run_and_starts_nothing(command_line: CommandLine, tmp_path: Path) -> None:
    file = write_file(tmp_path)
    done = command_line("plan", file, "--json", "--trials", 5)
    assert (done.code, done.err) == (0, "")
    plan = done.json
    assert set(plan) == {
        "study", "trials", "searched", "train", "tasks", "batches", "training", "resources", "leakage",
        "budget", "stop", "replicates", "warm_start",
    }  # fmt: skip
    assert (plan["study"], plan["searched"]) == ("small", 5)
    assert [(trial["number"], trial["baseline"]) for trial in plan["trials"]] == [(0, "mono")]
    assert plan["training"] == {"steps": 6, "pairs": 48, "evaluations": 3, "pruning": 0}
    assert set(plan["resources"]) == {"workers", "cpus", "gpus", "concurrent"}
    assert {key for one in plan["train"] for key in one} == {"name", "languages", "items", "pairs"}
    assert {key for one in plan["tasks"] for key in one} == {"role", "name", "languages", "questions", "candidates"}
    assert [one["role"] for one in plan["tasks"]] == ["selection", "report"]
    assert "mono" in command_line("plan", file).out
    assert not (tmp_path / ".hybridbatch" / "studies").exists()


@pytest.mark.parametrize(
    ("minimum", "rungs", "said"),
    # evaluations at 2, 4 and 6, the last step; rungs at the first one at or after 1, 2, 4, or at or after 3 and 6
    [(1, 2, "pruning after 2 of them"), (3, 1, "pruning after 1 of them"), (5, 0, "no trial will be pruned")],
)
def test_plan_says_how_often_trials_can_be_pruned(
    command_line: CommandLine, tmp_path: Path, minimum: int, rungs: int, said: str
) -> None:
    pruner = {"kind": "asha", "minimum_steps": minimum, "reduction": 2}
    file = write_file(tmp_path, {"search.pruner": pruner})
    assert command_line("plan", file, "--json", "--trials", 5).json["training"]["pruning"] == rungs
    assert said in " ".join(command_line("plan", file, "--trials", 5).out.split())
    assert not (tmp_path / ".hybridbatch" / "ledger.db").exists()


def test_plan_shows_batches_that_are_alike_once(command_line: CommandLine, tmp_path: Path) -> None:
    other = {"batches.mix": {"crosslingual": 1.0}}
    baselines = {"one": {}, "two": {"loss.temperature": 0.1}, "other": other}
    out = command_line("plan", write_file(tmp_path, {"search.baselines": baselines})).out
    assert "one, two " in out
    assert out.count("100% crosslingual") == 1
    assert "batches.mix={crosslingual: 1.0}" in " ".join(out.split())


def test_brackets_are_no_markup(command_line: CommandLine, tmp_path: Path) -> None:
    training = {"dataset": "parallel-pairs", "path": "small.csv", "languages": ["de", "en"]}
    changes = {"question": "What of [bold] and [/bold]?", "search.baselines": {"[two]": {"data.train": [training]}}}
    out = " ".join(command_line("plan", write_file(tmp_path, changes)).out.split())
    assert "What of [bold] and [/bold]?" in out
    assert "[two]" in out
    assert "languages: [de, en]" in out


def test_status_keys(command_line: CommandLine, finished: HomeFolder) -> None:
    state = command_line("status", "small", "--home", finished.path, "--json").json
    assert set(state) == {
        "study", "trials", "best", "constraints", "feasible", "running", "interruptions", "repeated_steps", "cost",
        "costs", "not_begun", "search_not_begun", "search_over", "budget", "stopped", "replicates", "warm_start",
        "objectives", "home",
    }  # fmt: skip
    figures = {"attempts", "steps", "repeated_steps", "seconds", "worker_hours", "lost_worker_hours", "gpu_hours"}
    assert set(state["cost"]) == figures
    assert [set(cost) for cost in state["costs"]] == [{"number", *figures}] * 6
    assert state["cost"]["steps"] == sum(result.steps for result in finished.study("small").results())
    assert set(state["trials"]) == {"complete", "pruned", "failed", "running", "waiting"}
    assert sum(state["trials"].values()) == 6
    assert (state["study"], state["objectives"], state["running"]) == ("small", ["map_multi"], [])
    assert set(state["best"]) == {"number", "baseline", "params", "values"}
    said = command_line("status", "small", "--home", finished.path).out
    assert "1 failed" in said
    assert "best: trial" in said


def test_status_of_all_studies(command_line: CommandLine, finished: HomeFolder, tmp_path: Path) -> None:
    assert "no study in" in command_line("status", "--home", tmp_path / "new").out
    home = HomeFolder(shutil.copytree(finished.path, tmp_path / "home"))
    broken = home.study("broken").experiment
    broken.parent.mkdir()
    broken.write_text("{")
    states = command_line("status", "--home", home.path, "--json").json
    assert [set(state) == {"study", "error"} for state in states] == [True, False]
    assert states[1] == command_line("status", "small", "--home", home.path, "--json").json
    said = command_line("status", "--home", home.path).out
    assert "broken  cannot be read" in said
    assert f"small  {states[1]['trials']['complete']} complete" in said


def test_compare_keys(command_line: CommandLine, finished: HomeFolder) -> None:
    table = command_line("compare", "small", "--home", finished.path, "--json").json
    assert set(table) == {
        "study", "objectives", "constraints", "counts", "best", "pareto", "trials", "rungs", "baselines", "differences",
        "effects", "replicates", "leakage", "warm_start",
    }  # fmt: skip
    assert {key for trial in table["trials"] for key in trial} == {
        "number", "baseline", "replicate_of", "state", "reason", "seed", "best", "pareto", "feasible", "values",
        "params", "selection", "report", "steps", "best_step", "seconds",
    }  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(command_line("compare", "small", "--home", finished.path, "--csv").out)))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert "small: trials" in command_line("compare", "small", "--home", finished.path).out


def test_evaluate_keys_and_the_figures_of_the_trial_itself(
    command_line: CommandLine, finished: HomeFolder, tmp_path: Path
) -> None:
    shutil.copytree(finished.path, tmp_path / "home")
    arguments = ["evaluate", "small/0", "-d", "parallel-pairs", "--set", "path=small_report.csv"]
    done = command_line(*arguments, "--home", tmp_path / "home", "--json", "--scores", tmp_path / "scores.parquet")
    assert done.code == 0, done.err
    of_other_data = {"error_rate_cross", "accuracy_mono", "accuracy_cross", "pair_ap_mono", "pair_ap_cross"}
    assert set(done.json) == (RESULT_KEYS | set(objective_directions())) - of_other_data
    documented = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    for name in set(done.json):  # `map_mono` is written out, of the others their stem
        assert f"`{name}`" in documented or f"`{re.sub('_(mono|cross|multi)$', '', name)}`" in documented, name
    reported = finished.study("small").results()[0].report["small_report"]
    for name, value in reported.summary.items():
        assert done.json[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    assert done.json["cells"] == pytest.approx(reported.cells, abs=1e-6)
    assert (tmp_path / "scores.parquet").exists()
    shares = done.json["answer_languages"]
    assert set(shares) == set(LANGUAGES) == {answer for of_question in shares.values() for answer in of_question}
    said = command_line(*arguments, "--home", tmp_path / "home", "--cells").out
    assert "best answer in the pool: question language down" in said


def test_run_warns_once_of_what_no_batch_will_hold(command_line: CommandLine, home: HomeFolder, tmp_path: Path) -> None:
    drop_language(write_data(tmp_path / "data") / "small.csv", "de", 10)
    changes = {"batches.size": 12, "batches.mix": {"monolingual": 1.0}, "search.baselines": {}, "training.steps": 2}
    file = write_file(tmp_path, changes)
    arguments = [file, "--home", home.path, "--data", tmp_path / "data", "--trials", 2]
    (note,) = command_line("plan", *arguments, "--json").json["batches"]["as written"]["left_out"]
    assert note.startswith("monolingual: small-train de has")
    done = command_line("run", *arguments, "--local")
    assert (done.code, done.out.count(f"left out: {note}")) == (0, 1)
    assert [one.mixture.left_out for one in home.study("small").results()] == [(note,), (note,)]


def test_doctor_keys(command_line: CommandLine, empty_home: Path, tmp_path: Path) -> None:
    shutil.copytree(empty_home, tmp_path / "home")
    done = command_line("doctor", "--home", tmp_path / "home", "--json")
    checks = done.json
    assert {key for check in checks for key in check} == {"name", "state", "found", "mend"}
    state = {check["name"]: check["state"] for check in checks}
    assert {"python", "torch", "ray", "devices", "home folder", "ledger", "tracking", "data set world-facts"} <= set(
        state
    )
    assert state["data set xquad-r"] == "warning", "its files are not in the small data"
    assert state["ledger"] == state["tracking"] == state["data set world-facts"] == "ok"
    assert set(state.values()) <= {"ok", "warning", "failed"}
    assert done.code == int("failed" in state.values())


def test_schema_is_json(command_line: CommandLine) -> None:
    schema = command_line("schema").json
    assert {"name", "data", "backbone", "search"} <= set(schema["properties"])


def test_report_writes_a_page_and_says_where(command_line: CommandLine, finished: HomeFolder, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = command_line("report", "small", "--home", finished.path, "--output", page)
    assert (done.code, done.out.strip()) == (0, str(page))
    assert "<html" in page.read_text(encoding="utf-8")
