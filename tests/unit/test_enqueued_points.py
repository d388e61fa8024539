"""Points that the user knows are tried first, and are trials like the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ledger_fixtures import RATE, TEMPERATURE, TWO_PARAMS, take, trials_of
from tests.small_study import experiment, result, write_file

from hybridbatch.foundation.errors import ExperimentErrors, HybridBatchError, UserError
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.planned import planned_trials
from hybridbatch.search.settings_to_check import settings_to_check
from hybridbatch.spec.reader import read_experiment

POINTS = [{TEMPERATURE: 0.05, RATE: 0.001}, {TEMPERATURE: 0.1}]
CHANGES: dict[str, Any] = {"search.space": TWO_PARAMS, "search.enqueue": POINTS, "search.trials": 4}


def refused(made: Callable[[], Any]) -> HybridBatchError:
    """Return the one thing that is wrong with an experiment file."""
    with pytest.raises(ExperimentErrors) as caught:
        made()
    (error,) = caught.value.errors
    return error


@pytest.mark.parametrize("sampler", ["tpe", "random", "cma-es", "qmc"])
def test_points_come_first_and_count_as_trials(url: str, twin: str, sampler: str) -> None:
    made = experiment({**CHANGES, "search.sampler": {"kind": sampler}})
    steady, given = Ledger(made, twin), []
    assert steady.counts().waiting == 1 + 4
    for number in range(5):
        given.append(take(Ledger(made, url)))  # a new driver for each trial
        assert given[-1].params == take(steady).params
        for where in (url, twin):
            Ledger(made, where).tell(result(number, values=(0.1 * number,)))
    assert (given[0].baseline, given[0].params) == ("mono", {})
    assert given[1].params == POINTS[0]
    assert given[2].params[TEMPERATURE] == 0.1
    assert all(1e-4 <= one.params[RATE] <= 1e-2 for one in given[2:])
    assert len({one.params[TEMPERATURE] for one in given[1:]}) == 4
    assert Ledger(made, url).next_assignment() is None
    assert [trial.params for trial in trials_of(url)][1:] == [one.params for one in given[1:]]
    ready = given[1].experiment
    assert not isinstance(ready, UserError)
    assert (ready.loss.temperature, ready.training.learning_rate) == (0.05, 0.001)


@pytest.mark.parametrize(
    ("points", "path", "allowed"),
    [
        ([{TEMPERATURE: 0.3}], f"search.enqueue.0.{TEMPERATURE}", "a number from 0.02 to 0.2"),
        ([{TEMPERATURE: 0.1}, {TEMPERATURE: "hot"}], f"search.enqueue.1.{TEMPERATURE}", "a number from"),
        ([{"batches.size": 4.5}], "search.enqueue.0.batches.size", "a whole number from 4 to 8"),
        ([{"backbone.pooling": "max"}], "search.enqueue.0.backbone.pooling", "cls, mean"),
        ([{"loss.temprature": 0.1}], "search.enqueue.0.loss.temprature", "loss.temperature"),
        ([{}], "search.enqueue.0", "at least one searched path"),
        ([{TEMPERATURE: 0.1}, {TEMPERATURE: 0.1}], "search.enqueue.1", "each point once"),
        ([{"batches.size": True}], "search.enqueue.0.batches.size", "a whole number"),
    ],
)
def test_a_point_outside_the_space_is_refused_with_its_place(
    points: list[dict[str, Any]], path: str, allowed: str, tmp_path: Path
) -> None:
    space = {
        TEMPERATURE: {"log_uniform": [0.02, 0.2]},
        "batches.size": {"integer": [4, 8]},
        "backbone.pooling": {"choice": ["mean", "cls"]},
    }
    file = write_file(tmp_path, {"search.space": space, "search.enqueue": points})
    error = refused(lambda: read_experiment(file))
    assert error.path == path
    assert allowed in str(error.allowed)
    assert error.file == file


def test_numbers_are_read_as_yaml_writes_them(tmp_path: Path) -> None:
    file = write_file(tmp_path, {"search.space": TWO_PARAMS, "search.enqueue": [{RATE: 0.001}]})
    file.write_text(file.read_text().replace("training.learning_rate: 0.001", "training.learning_rate: 1e-3"))
    assert "1e-3" in file.read_text()
    assert read_experiment(file).search.enqueue == ({RATE: 0.001},)


def test_a_point_that_no_trial_can_have_is_refused_before_any_runs() -> None:
    changes = {"search.space": {"batches.size": {"integer": [4, 8]}}, "resources.workers": 2}
    experiment({**changes, "search.enqueue": [{"batches.size": 6}]})
    error = refused(lambda: experiment({**changes, "search.enqueue": [{"batches.size": 6}, {"batches.size": 5}]}))
    assert "must be a multiple of resources.workers" in error.problem
    assert error.path == "search.enqueue.1"


def test_points_are_tried_with_the_data_first() -> None:
    made = experiment({"search.space": {"batches.size": {"integer": [4, 8]}}, "search.enqueue": [{"batches.size": 6}]})
    assert {"batches.size": 6} in [dict(one.values) for one in settings_to_check(made, planned_trials(made))]


@pytest.mark.parametrize(("trials", "path"), [(None, "search.enqueue"), (1, "--trials")])
def test_more_points_than_trials_are_refused(trials: int | None, path: str) -> None:
    made = experiment({**CHANGES, "search.trials": 1 if trials is None else 4})
    with pytest.raises(UserError, match="more points are enqueued") as too_many:
        planned_trials(made, trials)
    assert (too_many.value.path, too_many.value.seen) == (path, "2 points, 1 trials")


def test_a_grid_takes_no_points() -> None:
    changes = {"search.space": {"batches.size": {"integer": [4, 8]}}, "search.sampler": {"kind": "grid"}}
    error = refused(lambda: experiment({**changes, "search.trials": None, "search.enqueue": [{"batches.size": 6}]}))
    assert "every point already" in error.problem
    assert error.path == "search.enqueue"
