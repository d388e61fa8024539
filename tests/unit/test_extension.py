"""`hybridbatch extend`: more trials, or another space for those to come, in a real ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.command_line import CommandLine
from tests.ledger_fixtures import NO_BASELINES, RATE, TEMPERATURE, trials_of
from tests.small_study import experiment, result, write_file
from tests.study_fixtures import Watcher

from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.extension import extend_study
from hybridbatch.search.identity import EXPERIMENT, EXTENSIONS
from hybridbatch.search.session import StudySession, load_study
from hybridbatch.spec.folders import HomeFolder

SPACE = {"search.space": {TEMPERATURE: {"log_uniform": [0.02, 0.2]}, "batches.size": {"choice": [4, 8]}}}
BASE: dict[str, Any] = {
    **NO_BASELINES,
    **SPACE,
    "search.trials": 2,
    "search.sampler": {"kind": "tpe", "startup_trials": 1},
}


def run(home: HomeFolder, data: Path, changes: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Take every trial of a study and tell a made-up result; return what the search chose for those taken now."""
    study = experiment(changes) if changes else load_study(home, "small")
    session = StudySession(study, home, data, None, Watcher())
    taken = []
    while (spec := session.next_trial()) is not None:
        taken.append(spec.params)
        folder = session.folder.trial(spec.number)
        session.finish(folder.write_result(result(spec.number, values=(spec.params[TEMPERATURE],))))
    session.ledger.close()
    session.writer.close(timeout=60)
    return taken


def test_more_trials_are_asked_as_if_they_had_been_planned_from_the_start(
    home: HomeFolder, small_data: Path, twin: str
) -> None:
    first = run(home, small_data, BASE)
    done = extend_study(home, "small", 5, None)
    assert (done.before, done.after, done.paths) == (2, 5, ())
    later = run(home, small_data)
    assert len(later) == 3
    other = HomeFolder(home.path.parent / "planned")
    assert first + later == run(other, small_data, {**BASE, "search.trials": 5})


@pytest.mark.parametrize("kind", ["tpe", "random", "nsga2", "gp", "qmc", "cma-es"])
def test_trials_to_come_are_drawn_from_the_new_space_and_old_ones_stay(
    kind: str, home: HomeFolder, small_data: Path
) -> None:
    base = {**BASE, "search.sampler": {"kind": kind}, "search.trials": 12}
    run(home, small_data, base)
    before = [(trial.number, trial.params, trial.values) for trial in trials_of(home.ledger_url)]
    space = {
        TEMPERATURE: {"log_uniform": [0.1, 0.5]},
        RATE: {"log_uniform": [1e-4, 1e-2]},
        "batches.size": {"choice": [4, 8]},
    }
    done = extend_study(home, "small", None, experiment({**base, "search.space": space, "search.trials": 20}))
    assert (done.before, done.after, done.paths) == (12, 20, (TEMPERATURE, RATE))
    later = run(home, small_data)
    assert len(later) == 8
    assert all(0.1 <= params[TEMPERATURE] <= 0.5 and 1e-4 <= params[RATE] <= 1e-2 for params in later)
    trials = trials_of(home.ledger_url)
    assert [(trial.number, trial.params, trial.values) for trial in trials[:12]] == before
    assert all(trial.state.is_finished() for trial in trials)
    (entry,) = optuna.load_study(study_name="small", storage=home.ledger_url).user_attrs[EXTENSIONS]
    assert '"log_uniform":[0.1,0.5]' in entry["experiment"]


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({"search.space": {"batches.size": {"choice": [4, 8, 12]}}}, "search.space.batches.size", "one study cannot"),
        ({"search.space": {TEMPERATURE: {"uniform": [0.02, 0.2]}}}, f"search.space.{TEMPERATURE}", "one study cannot"),
        ({"search.space": {TEMPERATURE: {"choice": [0.1]}}}, f"search.space.{TEMPERATURE}", "one study cannot"),
        ({"training.steps": 8}, "search", "the file differs from the study in more than its trials and its space"),
        ({"search.trials": 1}, "--trials", "the study has more trials already"),
    ],
)
def test_what_one_study_cannot_hold_is_refused_and_changes_nothing(
    changes: dict[str, Any], path: str, problem: str, home: HomeFolder, small_data: Path
) -> None:
    run(home, small_data, BASE)
    before = home.study("small").experiment.read_bytes()
    with pytest.raises(UserError, match=problem) as refused:
        extend_study(home, "small", None, experiment({**BASE, **changes}))
    assert refused.value.path == path
    assert home.study("small").experiment.read_bytes() == before
    assert run(home, small_data) == []


def test_a_grid_grows_by_more_of_its_points_alone(home: HomeFolder, small_data: Path) -> None:
    grid = {**NO_BASELINES, "search.sampler": {"kind": "grid"}, "search.trials": 1}
    choices = {"search.space": {TEMPERATURE: {"choice": [0.1, 0.2, 0.3]}}}
    assert run(home, small_data, {**grid, **choices}) == [{TEMPERATURE: 0.1}]
    other = {"search.space": {TEMPERATURE: {"choice": [0.3, 0.2, 0.1]}}}
    with pytest.raises(UserError, match="other trials the numbers"):
        extend_study(home, "small", 3, experiment({**grid, **other}))
    extend_study(home, "small", 3, None)
    assert run(home, small_data) == [{TEMPERATURE: 0.2}, {TEMPERATURE: 0.3}]


def test_killed_between_ledger_and_folder_it_is_called_again(home: HomeFolder, small_data: Path) -> None:
    run(home, small_data, BASE)
    file = home.study("small").experiment
    before = atomic.read_json(file)
    wider = experiment({**BASE, "search.space": {**SPACE["search.space"], RATE: {"log_uniform": [1e-4, 1e-2]}}})
    extend_study(home, "small", 3, wider)
    atomic.write_json(file, before)
    with pytest.raises(UserError, match="another experiment") as refused:
        run(home, small_data)
    assert "hybridbatch extend" in str(refused.value.remedy)
    assert extend_study(home, "small", 3, None).after == 3
    assert [sorted(params) for params in run(home, small_data)] == [["batches.size", TEMPERATURE, RATE]]


def test_killed_before_the_ledger_holds_the_extension_it_changes_nothing(home: HomeFolder, small_data: Path) -> None:
    run(home, small_data, BASE)
    file = home.study("small").experiment
    before = file.read_bytes()
    study = optuna.load_study(study_name="small", storage=home.ledger_url)
    held = study.user_attrs[EXPERIMENT]
    wider = experiment({**BASE, "search.space": {**SPACE["search.space"], RATE: {"log_uniform": [1e-4, 1e-2]}}})
    extend_study(home, "small", 3, wider)
    study.set_user_attr(EXPERIMENT, held)
    file.write_bytes(before)
    assert run(home, small_data) == [], "the study is the one it was"
    assert extend_study(home, "small", 3, wider).paths == (RATE,)
    assert [sorted(params) for params in run(home, small_data)] == [["batches.size", TEMPERATURE, RATE]]


def test_the_command_says_what_changes_and_how_to_go_on(
    home: HomeFolder, small_data: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    run(home, small_data, BASE)
    said = command_line("extend", "small", "--trials", 4, "--home", home.path)
    assert said.code == 0
    assert said.out.splitlines()[0] == "small: 4 trials planned, 2 before"
    assert "go on with: hybridbatch resume small" in said.out
    wide = {**BASE, "search.trials": 6, "search.space": {TEMPERATURE: {"log_uniform": [0.01, 0.5]}}}
    said = command_line("extend", "small", "--file", write_file(tmp_path, wide), "--home", home.path)
    assert "trials to come are drawn anew for batches.size, loss.temperature" in said.out
    command_line("extend", "small", "--home", home.path).is_message("--trials, --file", "nothing to extend by")


def test_another_space_may_leave_points_behind(home: HomeFolder, small_data: Path) -> None:
    point = {TEMPERATURE: 0.05, "batches.size": 4}
    base = {**BASE, "search.enqueue": [point], "search.trials": 3}
    assert run(home, small_data, base)[0] == point
    narrow = {**base, "search.space": {TEMPERATURE: {"log_uniform": [0.15, 0.2]}}, "search.trials": 5}
    with pytest.raises(UserError, match="outside the search space"):
        experiment(narrow)
    with pytest.raises(UserError, match="more than its trials and its space"):
        extend_study(home, "small", None, experiment({**narrow, "search.enqueue": [{TEMPERATURE: 0.16}]}))
    extend_study(home, "small", None, experiment({**narrow, "search.enqueue": []}))
    assert all(0.15 <= params[TEMPERATURE] <= 0.2 for params in run(home, small_data))
    assert trials_of(home.ledger_url)[0].params == point
