"""Studies that begin with an earlier one, from the command line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.command_line import CommandLine
from tests.ledger_fixtures import NO_BASELINES, TEMPERATURE
from tests.small_study import write_file
from tests.study_fixtures import figures

from hybridbatch.spec.folders import HomeFolder

EARLIER: dict[str, Any] = {**NO_BASELINES, "training.steps": 4, "search.trials": 4}
LATER: dict[str, Any] = {
    **EARLIER,
    "search.sampler": {"kind": "tpe", "startup_trials": 2},
    "search.warm_start": [{"study": "before", "points": 1, "learn": True}],
    "search.trials": 3,
}


def elsewhere(home: HomeFolder, empty_home: Path, path: Path, study: str) -> HomeFolder:
    """Return a home folder with the folder of one study, of which the ledger is lost."""
    shutil.copytree(empty_home, path)
    shutil.copytree(home.study(study).path, HomeFolder(path).study(study).path)
    return HomeFolder(path)


def test_a_study_begins_with_another_and_goes_on_without_ledger_and_without_the_other(
    home: HomeFolder, twin_home: HomeFolder, empty_home: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    at_home = ("--home", home.path)
    before, after = write_file(tmp_path, EARLIER, "before"), write_file(tmp_path, LATER, "after")
    for command in (("plan", after), ("run", after, "--local")):
        refused = command_line(*command, *at_home)
        assert refused.code == 2
        assert f"{after} -> search.warm_start.0.study: no such study" in refused.err
    assert not home.study("after").path.exists()
    for where in (home, twin_home):
        assert command_line("run", before, "--home", where.path, "--local").code == 0
    best = command_line("status", "before", *at_home, "--json").json["best"]
    planned = command_line("plan", after, *at_home, "--json").json
    assert planned["trials"] == [{"number": 0, "baseline": None, "params": best["params"]}]
    assert planned["searched"] == 2
    (entry,) = planned["warm_start"]
    assert (entry["study"], entry["learnt"]) == ("before", [0, 1, 2, 3])
    told = f"from before: trial 0 tries the values of its trial {best['number']}"
    assert told in command_line("plan", after, *at_home).out
    run = command_line("run", after, *at_home, "--local", "--trials", 1)
    assert run.code == 0, run
    assert told in run.out
    assert "from before: the sampler learns from 4 of its 4 finished trials" in run.out
    home = elsewhere(home, empty_home, tmp_path / "elsewhere", "after")  # without the earlier study
    at_home = ("--home", home.path)
    assert command_line("run", after, *at_home, "--local").code == 0
    assert command_line("run", after, "--home", twin_home.path, "--local").code == 0
    assert figures(home.study("after")) == figures(twin_home.study("after"))
    state = command_line("status", "after", *at_home, "--json").json
    assert state["warm_start"] == [entry]
    assert state["trials"]["complete"] == 3
    assert told in command_line("status", "after", *at_home).out
    assert told in command_line("compare", "after", *at_home).out.replace("\n", " ")
    compared = command_line("compare", "after", *at_home, "--json").json
    assert compared["warm_start"] == [entry]
    assert [trial["number"] for trial in compared["trials"]] == [0, 1, 2]
    assert compared["trials"][0]["params"] == best["params"]
    assert compared["trials"][0]["values"] == best["values"], "the same experiment with the same values, run again here"
    assert compared["trials"][1]["params"][TEMPERATURE] != best["params"][TEMPERATURE]
    report = command_line("report", "after", *at_home)
    assert told in Path(report.out.strip()).read_text()
    assert "search.warm_start" in command_line("extend", "after", *at_home, "--trials", 0).err
