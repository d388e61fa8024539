"""What is printed as the next step works when it is pasted into a shell: nothing has to be added."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import CommandLine
from tests.small_study import write_data, write_file

from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.next_step import resume_command

SHORT = {"search.trials": 1, "search.baselines": {}, "training.steps": 2}


def go_on(out: str) -> list[str]:
    """Return the words of the one line that says how to go on, without the program's name."""
    (line,) = (line for line in out.splitlines() if "o on with: " in line)
    program, *words = shlex.split(line.partition("o on with: ")[2])
    assert program == "hybridbatch"
    return words


@pytest.fixture
def stopped(
    command_line: CommandLine, empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[HomeFolder, str]:
    """A study that was stopped at once, run with ``--data`` relative to where the user stood; what was printed."""
    monkeypatch.delenv("HYBRIDBATCH_DATA")
    monkeypatch.setenv("COLUMNS", "40")
    home = HomeFolder(shutil.copytree(empty_home, tmp_path / "a home [1] of 'mine'"))
    write_data(tmp_path)

    def interrupt(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hybridbatch.terminal.study_run.run_local", interrupt)
        done = command_line("run", write_file(tmp_path, SHORT), "--home", home.path, "--data", ".", "--local")
    assert done.code == 130, done
    return home, done.out


def test_the_printed_way_to_go_on_needs_no_data_option(
    command_line: CommandLine, stopped: tuple[HomeFolder, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, said = stopped
    words = go_on(said)
    assert words == ["resume", "small", "--local", "--home", str(home.path)]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert go_on(command_line("status", "small", "--home", home.path).out) == ["resume", "small", *words[-2:]]
    assert command_line("plan", tmp_path / "small.yaml", "--home", home.path).code == 0
    done = command_line(*words)
    assert done.code == 0, done
    counts = {"complete": 1, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    assert command_line("status", "small", "--home", home.path, "--json").json["trials"] == counts
    report = shlex.split(done.out.splitlines()[-1].removeprefix("next: ").partition("  ·  ")[0])
    assert report == ["hybridbatch", "report", "small", "--home", str(home.path)]


def test_a_data_folder_that_is_named_wins_over_the_remembered_one(
    command_line: CommandLine, stopped: tuple[HomeFolder, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume = ["resume", "small", "--home", stopped[0].path, "--local"]
    nowhere = tmp_path / "nowhere"
    command_line(*resume, "--data", nowhere).is_message(str(nowhere / "small.csv"), "no such file")
    monkeypatch.setenv("HYBRIDBATCH_DATA", str(nowhere))
    command_line(*resume).is_message(str(nowhere / "small.csv"), "no such file")
    monkeypatch.delenv("HYBRIDBATCH_DATA")
    assert command_line(*resume).code == 0, "a folder without the data was remembered"


def test_the_home_folders_own_data_move_with_it(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYBRIDBATCH_DATA")
    file = write_file(tmp_path, SHORT)
    write_data(home.data)
    write_data(tmp_path / "mine")
    for option, remembered in ((["--data", "mine"], tmp_path / "mine"), (["--data", home.data], None)):
        run = ["run", file, "--home", home.path, "--local", *option]
        assert command_line(*run, "--trials", 1 if remembered is None else 0).code == 0
        assert home.study("small").read_data_root() == remembered


def test_a_study_that_ran_on_a_cluster_goes_on_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRIDBATCH_HOME", str(tmp_path / "home"))
    home = HomeFolder(tmp_path / "home")
    assert resume_command(home, "small") == "hybridbatch resume small"
    assert resume_command(home, "small", address="host:6379") == "hybridbatch resume small --address host:6379"
    assert resume_command(home, "small", address="host:6379", local=True) == "hybridbatch resume small --local"
    elsewhere = resume_command(HomeFolder(tmp_path / "my home"), "small")
    assert elsewhere == f"hybridbatch resume small --home '{tmp_path}/my home'"
