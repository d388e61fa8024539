"""Contenders over their seeds as people and programs see them, with arithmetic done by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.study_tables import printed, table_of
from tests.trial_folders import trial_result

from hybridbatch.report.collect import StudyTable
from hybridbatch.report.export import comparison_json
from hybridbatch.report.page import study_page
from hybridbatch.report.replicates import best_by_mean, contender_groups, contender_runs
from hybridbatch.spec.folders import StudyFolder
from hybridbatch.spec.trial import TrialResult
from hybridbatch.tracking.records import record_of

# trial -> (of, seed, mAP multi): 0 wins alone and was lucky, 1 is the best by the mean
RUNS = {
    0: (None, 0, 0.50),
    1: (None, 0, 0.48),
    2: (None, 0, 0.30),
    3: (0, 1, 0.40),
    4: (1, 1, 0.47),
    5: (0, 2, 0.42),
    6: (1, 2, 0.49),
}


def one(number: int, of: int | None, seed: int, value: float, **more: Any) -> TrialResult:
    made = trial_result(number, seed=seed, objectives=("map_multi",))
    return made.model_copy(update={"replicate_of": of, "values": (value,), **more})


def shown(tmp_path: Path, **changed: TrialResult) -> StudyTable:
    results = {str(number): one(number, *entry) for number, entry in RUNS.items()}
    return table_of(tmp_path, list({**results, **changed}.values()), bias_too=False)


def test_mean_and_spread_over_all_seeds_stand_beside_what_looked_best(tmp_path: Path) -> None:
    table = shown(tmp_path)
    first, second = contender_runs(table)
    assert (first.trial, first.trials, first.seeds) == (0, (0, 3, 5), (0, 1, 2))
    assert first.alone == {"map_multi": 0.50}
    assert first.spread["map_multi"].mean == pytest.approx(0.44)  # (0.50 + 0.40 + 0.42) / 3
    assert first.spread["map_multi"].deviation == pytest.approx(0.0529150262)  # sqrt((0.06² + 0.04² + 0.02²) / 2)
    assert first.further["map_multi"] == pytest.approx(0.41)
    assert second.spread["map_multi"].mean == pytest.approx(0.48)
    assert second.spread["map_multi"].deviation == pytest.approx(0.01)
    best = best_by_mean(table)
    assert best is not None
    assert table.best is not None
    assert (best.trial, table.best.result.number) == (1, 0)
    text = printed(table, width=140)
    assert "contenders over their seeds" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["★", "0", "3", ".4400", "±", ".0529", ".5000", ".4100"] in lines
    assert ["▲", "1", "3", ".4800", "±", ".0100", ".4800", ".4800"] in lines
    page = study_page(table)
    assert "Contenders over seeds" in page
    assert ".4400 ± .0529" in page


def test_replicates_are_no_candidates_for_the_best_and_the_front(tmp_path: Path) -> None:
    lucky = one(6, 1, 2, 0.99)
    table = shown(tmp_path, **{"6": lucky})
    rows = {row.result.number: row for row in table.rows}
    assert table.best is not None
    assert table.best.result.number == 0
    assert [number for number, row in rows.items() if row.pareto] == [0]
    assert rows[6].feasible
    assert rows[6].name == "6 (1, seed 2)"
    compared = comparison_json(table)
    assert compared["best"] == 0
    assert compared["replicates"]["best_by_mean"] == 1
    assert [trial["replicate_of"] for trial in compared["trials"]] == [None, None, None, 0, 1, 0, 1]


def test_a_contender_of_which_a_replicate_failed_has_no_best_mean(tmp_path: Path) -> None:
    failed = trial_result(6, state="failed", reason="diverged", seed=2).model_copy(update={"replicate_of": 1})
    table = shown(tmp_path, **{"6": failed})
    assert [run.trials for run in contender_runs(table)] == [(0, 3, 5), (1, 4)]
    best = best_by_mean(table)
    assert best is not None
    assert best.trial == 0


def test_without_replicates_nothing_is_shown(tmp_path: Path) -> None:
    table = table_of(tmp_path, [one(0, None, 0, 0.5)], bias_too=False)
    assert (contender_runs(table), best_by_mean(table), contender_groups(table)) == ([], None, [])
    assert comparison_json(table)["replicates"] is None
    assert "contenders" not in printed(table)
    assert "Contenders" not in study_page(table)


def test_mlflow_is_told_whose_replicate_a_run_is(tmp_path: Path) -> None:
    shown(tmp_path)
    folder = StudyFolder(tmp_path / "quickstart")
    again, searched = (record_of(folder.trial(number), "quickstart") for number in (5, 0))
    assert (again.tags["replicate_of"], again.tags["seed"]) == ("0", "2")
    assert again.name == "trial 00005 (again 0, seed 2)"
    assert "replicate_of" not in searched.tags
