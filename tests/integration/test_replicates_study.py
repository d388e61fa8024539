"""A search whose contenders run again with further seeds, from the command line."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

from tests.command_line import CommandLine
from tests.ledger_fixtures import NO_BASELINES
from tests.small_study import experiment, write_file
from tests.study_fixtures import Watcher, figures

from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder, TrialFolder
from hybridbatch.spec.trial import TrialSpec

CHANGES: dict[str, Any] = {
    **NO_BASELINES,
    "training.steps": 4,
    "search.trials": 3,
    "search.pruner": {"kind": "asha", "minimum_steps": 2, "reduction": 2},
    "search.replicates": {"contenders": 1, "seeds": [1, 2]},
}


def test_the_best_trial_runs_again_and_everybody_sees_how_good_it_is(
    home: HomeFolder, twin_home: HomeFolder, empty_home: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    at_home, file = ("--home", home.path), write_file(tmp_path, CHANGES)
    planned = command_line("plan", file, *at_home, "--json").json
    assert planned["replicates"] == {"contenders": 1, "seeds": [1, 2], "trials": 2, "steps": 8}
    shown = command_line("plan", file, *at_home).out
    assert "again: the best 1 of the search, with training.seed 1, 2" in shown
    assert "After the search: 2 trials more with further seeds, 8 steps in all" in shown
    assert command_line("run", file, *at_home, "--local").code == 0
    state = command_line("status", "small", *at_home, "--json").json
    assert (sum(state["trials"].values()), state["trials"]["waiting"], state["not_begun"]) == (5, 0, 0)
    best = state["best"]["number"]
    again = state["replicates"]
    assert (again["decided"], again["best_by_mean"]) == ([best], best)
    (one,) = again["contenders"]
    assert (one["trials"], one["seeds"]) == ([best, 3, 4], [0, 1, 2])
    trials = command_line("compare", "small", *at_home, "--json").json["trials"]
    values = [trials[number]["values"]["map_multi"] for number in one["trials"]]
    assert one["alone"]["map_multi"] == values[0]
    assert one["spread"]["map_multi"]["mean"] == sum(values) / 3
    assert len(set(values)) == 3, "another seed is another training"
    assert [trials[number]["state"] for number in (3, 4)] == ["complete"] * 2
    assert f"contender: trial {best}, seeds 0, 1, 2" in command_line("status", "small", *at_home).out
    refused = command_line("extend", "small", *at_home, "--trials", 5)
    assert refused.code == 2
    assert "change who contends" in refused.err
    # without its ledger, and in a study that nothing happened to
    anew = HomeFolder(tmp_path / "anew")
    shutil.copytree(empty_home, anew.path)
    shutil.copytree(home.study("small").path, anew.study("small").path)
    assert command_line("resume", "small", "--home", anew.path, "--local").code == 0
    assert command_line("status", "small", "--home", anew.path, "--json").json["replicates"] == again
    assert command_line("run", file, "--home", twin_home.path, "--local").code == 0
    assert figures(home.study("small")) == figures(twin_home.study("small"))


def test_a_driver_waits_for_the_trial_of_another_and_then_runs_what_it_decides(
    home: HomeFolder, small_data: Path
) -> None:
    made = experiment({**CHANGES, "search.pruner": None, "search.trials": 2})
    held, waiting, slow = threading.Event(), threading.Event(), Watcher()

    def hold(spec: TrialSpec, folder: TrialFolder) -> None:
        if spec.number == 0:
            held.set()
            assert waiting.wait(120)

    slow.at_start = hold
    quick = Watcher()
    first = StudySession(made, home, small_data, None, slow)
    other = threading.Thread(target=run_local, args=(first,))
    other.start()
    assert held.wait(120)
    second = StudySession(made, home, small_data, None, quick)
    asked = second.ledger.next_assignment

    def ask(*arguments: Any) -> Any:
        given = asked(*arguments)
        if given is None and second.later:
            waiting.set()  # only now does the other one begin to train
        return given

    second.ledger.next_assignment = ask  # type: ignore[method-assign]
    run_local(second)
    other.join(120)
    assert not other.is_alive()
    assert waiting.is_set()
    assert sorted(slow.numbers("finished") + quick.numbers("finished")) == [0, 1, 2, 3]
    for session in (first, second):
        session.close()
    assert [one.number for one in home.study("small").results() if one.replicate_of is not None] == [2, 3]
