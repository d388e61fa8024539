"""What a user can get wrong: each ends with a message that names the place and the mend, and loses nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import CommandLine
from tests.small_disk import leave
from tests.small_study import experiment, write_data, write_file
from tests.study_fixtures import Watcher, content, figures

from hybridbatch.search.local import run_local
from hybridbatch.search.ownership import Owner
from hybridbatch.search.renewal import RENEWER
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.trial import Rung

SHORT = {"search.trials": 2, "training.steps": 4}


def in_file(file: Path, path: str) -> str:
    return f"{file} -> {path}"


# --- the experiment file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("changes", "path", "problem", "facts"),
    [
        ({"training.stepz": 5}, "training.stepz", "unknown key", ["'stepz'", "did you mean 'steps'?"]),
        ({"training.steps": "many"}, "training.steps", "wrong type", ["'many'", "a whole number"]),
        (
            {"search.space": {"loss.temperature": {"log_uniform": [0.2, 0.02]}}},
            "search.space.loss.temperature.log_uniform",
            "empty range",
            [],
        ),
        (
            {"search.objectives": [{"metric": "map_mutli"}]},
            "search.objectives.0.metric",
            "unknown metric",
            ["'map_mutli'", "rank_distance", "did you mean 'map_multi'?"],
        ),
        ({"data.train": []}, "data.train", "too short", ["[]", "at least 1 value"]),
        ({"search.trials": None}, "search.trials", "the number of trials is missing", ["a whole number"]),
    ],
)
def test_mistakes_in_the_file(
    command_line: CommandLine,
    tmp_path: Path,
    command: str,
    changes: dict[str, Any],
    path: str,
    problem: str,
    facts: list[str],
) -> None:
    file = write_file(tmp_path, changes)
    command_line(command, file).is_message(in_file(file, path), problem, *facts)
    assert not (tmp_path / ".hybridbatch" / "studies").exists()


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("absent.yaml", None, "cannot read the experiment file"),
        ("folder.yaml", "", "cannot read the experiment file"),
        ("notes.txt", "name: x", "not an experiment file"),
        ("tab.yaml", "name: x\n\tdata: y", "not YAML"),
        ("list.yaml", "- name", "an experiment file is a mapping"),
        ("empty.yaml", "", "an experiment file is a mapping"),
    ],
)
def test_files_that_are_no_experiment(
    command_line: CommandLine, tmp_path: Path, name: str, text: str | None, problem: str
) -> None:
    file = tmp_path / name
    if name.startswith("folder"):
        file.mkdir()
    elif text is not None:
        file.write_text(text)
    done = command_line("run", file)
    place = done.err.partition(f": {problem}")[0]
    assert place.startswith(str(file))
    done.is_message(place, problem)


def test_a_changed_file_needs_another_name(command_line: CommandLine, home: HomeFolder, tmp_path: Path) -> None:
    assert command_line("run", write_file(tmp_path, SHORT), "--home", home.path, "--local", "--trials", 0).code == 0
    file = write_file(tmp_path, {**SHORT, "training.steps": 5})
    done = command_line("run", file, "--home", home.path, "--local")
    done.is_message(in_file(file, "name"), "exists with another experiment", "'small'", "another name")


# --- data ------------------------------------------------------------------------------------------------------------


def broken_parquet(data: Path) -> dict[str, Any]:
    (data / "broken.parquet").write_bytes(b"PAR1" + bytes(200) + b"PAR1")
    return {"data.report": [{"dataset": "parallel-pairs", "path": "broken.parquet"}]}


def unknown_language(data: Path) -> dict[str, Any]:
    source = {"dataset": "parallel-pairs", "path": "small.csv", "split": "train", "dev_share": 0.3}
    return {"data.train": [{**source, "languages": ["en", "xx"]}]}


def missing_file(data: Path) -> dict[str, Any]:
    return {"data.report": [{"dataset": "xquad-r"}]}


@pytest.mark.parametrize(
    ("mistake", "place", "problem", "facts"),
    [
        (broken_parquet, "broken.parquet", "not a readable parquet file", ["a whole parquet file", "cut off"]),
        (unknown_language, "small.csv -> languages", "language not in the data set", ["'xx'", "de, en, es"]),
        (missing_file, "eval/lareqa/xquad-r", "the data is missing", ["HYBRIDBATCH_DATA"]),
    ],
)
def test_data_that_cannot_be_used_is_named_by_plan_and_by_run(
    command_line: CommandLine,
    home: HomeFolder,
    tmp_path: Path,
    mistake: Any,
    place: str,
    problem: str,
    facts: list[str],
) -> None:
    data = write_data(tmp_path / "data")
    file = write_file(tmp_path, mistake(data))
    for command in (["plan", file], ["run", file, "--local"]):
        done = command_line(*command, "--home", home.path, "--data", data)
        done.is_message(str(data / place), problem, *facts)
    assert not home.study("small").path.exists()  # so that the mended file may keep its name


def test_a_study_goes_on_when_its_data_are_back(command_line: CommandLine, home: HomeFolder, tmp_path: Path) -> None:
    data, file = tmp_path / "data", write_file(tmp_path, SHORT)
    StudySession(experiment(SHORT), home, data, None, Watcher()).close()
    done = command_line("run", file, "--home", home.path, "--data", data, "--local")
    done.is_message(str(data / "small.csv"), "no such file", "HYBRIDBATCH_DATA")
    write_data(data)
    assert command_line("resume", "small", "--home", home.path, "--data", data, "--local").code == 0
    state = command_line("status", "small", "--home", home.path, "--json").json
    assert state["trials"] == {"complete": 3, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}


# --- what lies in the home folder ----------------------------------------------------------------------------------


def test_a_damaged_checkpoint_is_named_and_the_study_goes_on_without_it(
    command_line: CommandLine, home: HomeFolder, small_data: Path, finished: HomeFolder
) -> None:
    def interrupt(number: int, seen: Rung) -> None:
        if (number, seen.step) == (1, 4):
            raise KeyboardInterrupt

    session = StudySession(experiment(), home, small_data, None, Watcher(at_rung=interrupt))
    with pytest.raises(KeyboardInterrupt):
        run_local(session)
    session.close()
    study = home.study("small")
    before = content(study.trial(0).path)
    newest = study.trial(1).checkpoints / "step-00000004"
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")

    done = command_line("resume", "small", "--home", home.path, "--local")
    done.is_message(str(newest), "this checkpoint is damaged", "step-00000002", "delete this folder")
    state = command_line("status", "small", "--home", home.path, "--json").json
    assert state["trials"] == {"complete": 1, "pruned": 0, "failed": 0, "running": 0, "waiting": 3}
    shutil.rmtree(newest)  # as the message says
    assert command_line("resume", "small", "--home", home.path, "--local").code == 0
    assert content(study.trial(0).path) == before
    assert [one.state for one in study.results()] == 4 * ["complete"]
    # The searched values follow from the number of the trial: those of the finished study, two baselines further on.
    assert len(figures(study)[1]["rungs"]) == 3


@pytest.mark.parametrize("damaged", ["experiment.json", "trials/00000/result.json", "trials/00002/spec.json"])
@pytest.mark.parametrize("command", [["status"], ["compare"], ["report"]])
def test_a_damaged_record_is_named(
    command_line: CommandLine, finished: HomeFolder, tmp_path: Path, damaged: str, command: list[str]
) -> None:
    home = HomeFolder(shutil.copytree(finished.path, tmp_path / "home"))
    file = home.study("small").path / damaged
    file.write_text(file.read_text()[:200])
    name, *options = command
    command_line(name, "small", "--home", home.path, *options).is_message(str(file), "damaged")


def test_names_of_studies(command_line: CommandLine, finished: HomeFolder) -> None:
    for command in ("status", "compare", "report", "resume"):
        done = command_line(command, "nope", "--home", finished.path)
        done.is_message(str(finished.path), "no such study", "'nope'", "small", "hybridbatch run FILE")
        command_line(command, "../../etc", "--home", finished.path).is_message(
            None, "not a name of a study", "'../../etc'", "lower-case letters"
        )
        if command != "status":  # which shows all studies then
            assert command_line(command).code == 2


def test_a_home_folder_that_cannot_be(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = write_file(tmp_path)
    for command in (["run", file, "--local"], ["plan", file], ["doctor"], ["status", "small"]):
        done = command_line(*command, "--home", tmp_path / "file" / "home")
        assert "Traceback" not in done.out + done.err
        assert done.code in (1, 2)
        assert str(tmp_path / "file") in done.out + done.err


def test_a_study_without_a_finished_trial(command_line: CommandLine, home: HomeFolder, small_data: Path) -> None:
    StudySession(experiment(), home, small_data, None, Watcher()).close()
    state = command_line("status", "small", "--home", home.path)
    assert (state.code, state.out.splitlines()) == (
        0, ["small  4 waiting", f"go on with: hybridbatch resume small --home {home.path}"],
    )  # fmt: skip
    for command in (["compare"], ["compare", "--json"], ["compare", "--csv"], ["report"]):
        name, *options = command
        done = command_line(name, "small", "--home", home.path, *options)
        assert "Traceback" not in done.out + done.err
        assert done.code == 0, done


# --- options -------------------------------------------------------------------------------------------------------


def test_models_and_data_sets_to_evaluate(command_line: CommandLine, finished: HomeFolder, tmp_path: Path) -> None:
    home = HomeFolder(shutil.copytree(finished.path, tmp_path / "home"))
    pairs = ["-d", "parallel-pairs", "--home", home.path]
    report = ["--set", "path=small_report.csv"]
    command_line("evaluate", "nowhere", *pairs, *report).is_message(
        "nowhere", "cannot be loaded", "a folder or hub name", "check the name"
    )
    command_line("evaluate", "small/1", *pairs, *report).is_message(
        str(home.study("small").path), "this trial has no model", "'small/1, failed'", "a complete trial: 0"
    )
    command_line("evaluate", "small/0", "-d", "xquad", "--home", home.path).is_message(
        None, "unknown data set", "'xquad'", "did you mean 'xquad-r'?"
    )
    command_line("evaluate", "small/0", *pairs, "--set", "path").is_message("--set", "not a setting", "NAME=VALUE")
    done = command_line("evaluate", "small/0", *pairs, "--set", "pathh=small_report.csv")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "did you mean 'path'?" in done.err
    done = command_line("evaluate", "small/0", *pairs, *report, "--set", "languages=en")
    assert (done.code, "a list, such as" in done.err) == (2, True)
    done = command_line("evaluate", "small/0", *pairs, *report, "--device", "tpu")
    done.is_message("--device", "this device cannot be used", "'tpu'", "cpu")
    done = command_line("evaluate", "small/0", *pairs, *report, "--scores", "/dev/null/scores.parquet")
    done.is_message("/dev/null", "cannot write")


def test_a_home_where_nobody_can_make_a_folder(command_line: CommandLine, tmp_path: Path) -> None:
    file = write_file(tmp_path, SHORT)
    command_line("run", file, "--home", "/proc/home", "--local").is_message(
        "/proc/home", "cannot write", "who may write"
    )


def test_options_with_values_that_cannot_be(command_line: CommandLine, tmp_path: Path) -> None:
    file = write_file(tmp_path)
    for arguments in (["--trials", "-1"], ["--trials", "many"], ["--triasl", "1"]):
        done = command_line("run", file, *arguments)
        assert (done.code, "Traceback" in done.out + done.err) == (2, False)
        assert arguments[0] in done.err


# --- stores and clusters that cannot be reached --------------------------------------------------------------------


def test_a_ledger_that_cannot_be_reached(command_line: CommandLine, home: HomeFolder, tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:s3cret@127.0.0.1:9/studies"
    file = write_file(tmp_path, {**SHORT, "stores": {"ledger": url}})
    done = command_line("run", file, "--home", home.path, "--local")
    place = "postgresql+psycopg://me:***@127.0.0.1:9/studies -> stores.ledger"
    done.is_message(place, "the ledger cannot be reached", "check the URL")
    assert "s3cret" not in done.out + done.err
    assert "s3cret" not in "".join(path.read_text() for path in home.logs.glob("*.log"))
    assert command_line("run", write_file(tmp_path, SHORT), "--home", home.path, "--local", "--trials", 0).code == 0


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nonsense", "ray://127.0.0.1:9"])
def test_a_cluster_that_cannot_be_reached(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_file(tmp_path, SHORT)
    done = command_line("run", file, "--home", home.path, "--address", address)
    done.is_message(address, "the Ray cluster cannot be reached", "--local")
    assert command_line("status", "small", "--home", home.path, "--json").json["trials"]["waiting"] == 3


def renewing_leases() -> set[threading.Thread]:
    """Return the threads that renew leases and go on doing it."""
    threads = {thread for thread in threading.enumerate() if thread.name == RENEWER}
    for thread in threads:
        thread.join(2)
    return {thread for thread in threads if thread.is_alive()}


# --- disks ---------------------------------------------------------------------------------------------------------


def test_a_full_disk_loses_nothing(
    command_line: CommandLine,
    empty_home: Path,
    small_disk: Path,
    tmp_path: Path,
    small_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = HomeFolder(shutil.copytree(empty_home, small_disk / "home"))
    file = write_file(tmp_path)
    assert command_line("run", file, "--home", home.path, "--local", "--trials", 0).code == 0
    before = content(home.study("small").trial(0).path)
    renewing = renewing_leases()
    stopped = 0
    # Each run is to be a process of its own, dead when it ends: a full disk keeps it from giving its trial back.
    dead = Owner(Owner.this_process().machine, os.getpid(), born=0.0)
    monkeypatch.setattr(Owner, "this_process", lambda: dead)
    for kilobytes in (0, 8, 24, 48, 96, 160):  # too little for a log line, for the ledger, for a checkpoint, ...
        leave(small_disk, kilobytes)
        done = command_line("run", file, "--home", home.path, "--local")
        assert "Traceback" not in done.out + done.err, done.err
        if done.code:
            stopped += 1
            assert done.code == 2, done
            assert re.search(r": cannot write.*: No space left|: the ledger cannot be .*: the disk is full", done.err)
            assert "  mend:    free some space" in done.err, done.err
        assert content(home.study("small").trial(0).path) == before
        assert not renewing_leases() - renewing
    assert stopped >= 3
    (small_disk / "ballast").unlink()
    monkeypatch.undo()
    monkeypatch.setenv("HYBRIDBATCH_DATA", str(small_data))
    done = command_line("resume", "small", "--home", home.path, "--local")
    assert done.code == 0, done.err
    state = command_line("status", "small", "--home", home.path, "--json").json
    assert state["trials"] == {"complete": 4, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    undisturbed = StudySession(experiment(), HomeFolder(tmp_path / "undisturbed"), small_data, None, Watcher())
    run_local(undisturbed)
    undisturbed.close()
    assert figures(home.study("small")) == figures(undisturbed.folder)


def test_a_disk_that_cannot_be_written(command_line: CommandLine, small_disk: Path, tmp_path: Path) -> None:
    file = write_file(tmp_path)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for command in (["run", file, "--local"], ["plan", file], ["evaluate", "small/0", "-d", "xquad-r"]):
        done = command_line(*command, "--home", small_disk / "home")
        assert "Traceback" not in done.out + done.err, done.err
        assert done.code == 2, done
        assert str(small_disk) in done.err
