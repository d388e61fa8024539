"""Bounds that a trial has to keep to: read, learnt from, and shown."""

from __future__ import annotations

import io
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from rich.console import Console
from tests.ledger_fixtures import NO_BASELINES, TEMPERATURE, TWO_OBJECTIVES, take, trials_of
from tests.small_study import experiment, result, rung
from tests.study_fixtures import Watcher
from tests.trial_folders import experiment_json, trial_result, write_study

from hybridbatch.foundation.errors import ExperimentErrors, UserError
from hybridbatch.report.collect import best_trial, collect
from hybridbatch.report.export import comparison_json
from hybridbatch.report.page import study_page
from hybridbatch.report.tables import comparison
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.trial import TrialResult
from hybridbatch.terminal.status_view import print_status, study_status

CEILING = [{"metric": "rank_distance", "at_most": 400}]
CHANGES: dict[str, Any] = {**NO_BASELINES, "search.constraints": CEILING}


def outcome(number: int, value: float, distance: float, state: Any = "complete", values: int = 1) -> TrialResult:
    told = (value, distance)[:values] if state == "complete" else None
    return result(number, state, told).model_copy(update={"rungs": (rung(6, value, rank_distance=distance),)})


@pytest.mark.parametrize(
    ("constraints", "path", "problem"),
    [
        ([{"metric": "rank_distance"}], "search.constraints.0", "has one bound"),
        ([{"metric": "map_multi", "at_most": 1, "at_least": 0}], "search.constraints.0", "has one bound"),
        ([{"metric": "rank_distence", "at_most": 1}], "search.constraints.0.metric", "unknown metric"),
        ([CEILING[0], {**CEILING[0], "at_most": 300}], "search.constraints.1", "two bounds on one side"),
        ([{"metric": "rank_distance", "at_most": "low"}], "search.constraints.0.at_most", "wrong type"),
    ],
)
def test_a_constraint_that_says_nothing_is_refused(constraints: list[Any], path: str, problem: str) -> None:
    with pytest.raises(ExperimentErrors, match=problem) as refused:
        experiment({"search.constraints": constraints})
    assert [error.path for error in refused.value.errors] == [path]


def test_by_how_much_a_trial_breaks_a_constraint() -> None:
    both = [*CEILING, {"metric": "map_multi", "at_least": 0.5}]
    most, least = experiment({"search.constraints": both}).search.constraints
    assert (most.name, least.name) == ("rank_distance <= 400", "map_multi >= 0.5")
    assert (most.excess({"rank_distance": 450.0}), most.excess({"rank_distance": 400.0})) == (50.0, 0.0)
    assert (least.excess({"map_multi": 0.3}), least.excess({"map_multi": 0.75})) == (0.2, -0.25)
    assert math.isnan(most.excess({"map_multi": 0.3}))


def test_the_ledger_keeps_what_a_complete_trial_exceeds(any_url: str) -> None:
    ledger = Ledger(experiment({**CHANGES, "search.trials": 4}), any_url)
    for _ in range(4):
        take(ledger)
    ledger.tell(outcome(0, 0.5, 450.0))
    ledger.tell(outcome(1, 0.5, 390.0))
    ledger.tell(outcome(2, 0.5, 900.0, "pruned"))  # early in training: says nothing of its end
    ledger.tell(outcome(3, 0.5, math.nan))
    trials = trials_of(any_url)
    assert [trial.constraints for trial in trials[:3]] == [
        {"rank_distance <= 400": 50},
        {"rank_distance <= 400": -10},
        {},
    ]
    assert (trials[3].state, trials[3].user_attrs["reason"]) == (
        TrialState.FAIL,
        "a constraint has no value on the selection set",
    )


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize(
    ("sampler", "trials"),
    [
        ({"kind": "tpe", "startup_trials": 8}, 40),
        ({"kind": "gp", "startup_trials": 6}, 24),
        ({"kind": "cma-es", "population": 6}, 60),
    ],
    ids=lambda one: one["kind"] if isinstance(one, dict) else str(one),
)
def test_samplers_that_learn_go_where_the_constraint_is_kept(
    url: str, twin: str, sampler: dict[str, Any], trials: int, objectives: int
) -> None:
    """The measure rises with the temperature, and so does what must stay low: from 0 to 1 and to 1000."""
    changes = {**CHANGES, "search.sampler": sampler, "search.trials": trials}
    changes["search.objectives"] = [TWO_OBJECTIVES[0], {"metric": "map_mono"}][:objectives]
    bounded = shares(Ledger(experiment(changes), url), trials, objectives)
    free = shares(Ledger(experiment({**changes, "search.constraints": []}), twin), trials, objectives)
    late = [statistics.fmean(one[-trials // 3 :]) for one in (bounded, free)]
    assert late[0] < 0.55 < 0.7 < late[1], "0.5 by chance, 0.4 is the bound"
    assert max(share for share in bounded if share <= 0.4) > 0.35, "far from the best that keeps to it"


def shares(ledger: Ledger, trials: int, objectives: int) -> list[float]:
    """Run a study; return where each trial lies in the range of temperatures, on its logarithmic scale."""
    found = []
    for number in range(trials):
        share = math.log(take(ledger).params[TEMPERATURE] / 0.02) / math.log(10)
        found.append(share)
        told = outcome(number, share, 1000 * share)
        ledger.tell(told.model_copy(update={"values": (share, share**2)[:objectives]}))
    return found


def bounded(tmp_path: Path, constraints: list[dict[str, Any]]) -> Any:
    """Return a study of four complete trials, of which more monolingual batches mean more bias, and a pruned one."""
    content = experiment_json("bounded")
    content["search"]["constraints"] = constraints
    alphas = (0.1, 0.5, 0.8, 1.0)
    results = [trial_result(number, study="bounded", alpha=alpha) for number, alpha in enumerate(alphas)]
    results.append(trial_result(4, study="bounded", alpha=0.2, state="pruned"))
    return write_study(tmp_path / "bounded", results, content)


def test_the_best_and_the_front_are_among_trials_that_keep_to_all(tmp_path: Path) -> None:
    free = collect(bounded(tmp_path / "free", []))
    assert [row.result.number for row in free.rows if row.feasible] == [0, 1, 2, 3]
    best = free.best.result.number if free.best else None
    distances = {row.result.number: row.selection["rank_distance"] for row in free.complete}
    ceiling = (distances[0] + distances[1]) / 2
    study = bounded(tmp_path, [{"metric": "rank_distance", "at_most": ceiling}])
    table = collect(study)
    assert best != 0
    assert [row.result.number for row in table.rows if row.feasible] == [0]
    assert [row.result.number for row in table.rows if row.best or row.pareto] == [0]
    assert best_trial(study).number == 0
    shown = comparison_json(table)
    assert (shown["best"], shown["pareto"]) == (0, [0])
    assert shown["constraints"] == [{"metric": "rank_distance", "at_most": ceiling, "at_least": None, "kept": 1}]
    assert [trial["feasible"] for trial in shown["trials"]] == [True, False, False, False, False]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(comparison(table)[0])
    text = console.export_text()
    assert text.count("✗") == 3 + 1, "three trials and the legend"
    assert f"✗ does not keep to rank_distance <= {ceiling:g}" in " ".join(text.split())
    page = study_page(table)
    assert page.count('title="breaks a constraint"') >= 3
    assert f"rank_distance &lt;= {ceiling:g}" in page


def test_where_no_trial_keeps_to_all_there_is_no_best_one(tmp_path: Path) -> None:
    study = bounded(tmp_path, [{"metric": "rank_distance", "at_most": 1}])
    assert collect(study).best is None
    with pytest.raises(UserError, match="no complete trial of this study keeps to all constraints") as refused:
        best_trial(study)
    assert refused.value.allowed == "rank_distance <= 1"
    assert "✗" in study_page(collect(study))


def test_status_says_how_many_keep_to_all(home: HomeFolder, small_data: Path) -> None:
    made = experiment({**CHANGES, "search.trials": 3})
    session = StudySession(made, home, small_data, None, Watcher())
    for value, distance in ((0.9, 500.0), (0.6, 390.0), (0.5, 100.0)):
        spec = session.next_trial()
        assert spec is not None
        session.finish(session.folder.trial(spec.number).write_result(outcome(spec.number, value, distance)))
    session.ledger.close()
    session.writer.close(timeout=60)
    state = study_status(home, "small")
    assert (state["feasible"], state["best"]["number"]) == (2, 1)
    assert state["constraints"] == [{"metric": "rank_distance", "at_most": 400.0, "at_least": None, "kept": 2}]
    console = Console(width=200, record=True, file=io.StringIO())
    print_status(state, console)
    assert "2 of 3 complete trials keep to rank_distance <= 400" in console.export_text()
