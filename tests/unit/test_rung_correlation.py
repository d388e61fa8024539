"""Whether early evaluations order trials as the end does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.trial_folders import experiment_json, trial_result, write_study

from hybridbatch.report.collect import StudyTable, collect
from hybridbatch.report.export import comparison_json
from hybridbatch.report.rung_correlation import RungCorrelation, rung_correlations
from hybridbatch.report.tables import comparison
from hybridbatch.spec.trial import Rung

FINAL = (0.1, 0.2, 0.3, 0.4)


def study(tmp_path: Path, curves: dict[int, tuple[float, ...]], *, states: tuple[Any, ...] = ()) -> StudyTable:
    """Return a study of one objective whose trials measured ``curves`` (step -> value of each trial) on the way."""
    results = []
    for number, final in enumerate(FINAL):
        rungs = tuple(
            Rung(step=step, seconds=1.0, train_loss=1.0, summary={"map_multi": values[number]})
            for step, values in {**curves, 400: FINAL}.items()
        )
        state = states[number] if states else "complete"
        made = trial_result(number, study="made", state=state, objectives=("map_multi",))
        told = (final,) if state == "complete" else None
        results.append(made.model_copy(update={"rungs": rungs, "values": told}))
    return collect(write_study(tmp_path / "made", results, experiment_json("made", bias_too=False)))


def test_kendalls_tau_by_hand(tmp_path: Path) -> None:
    table = study(
        tmp_path,
        {
            100: (0.04, 0.03, 0.02, 0.01),  # all 6 pairs the other way round
            200: (0.02, 0.01, 0.03, 0.04),  # 5 pairs of 6 as at the end: (5 - 1) / 6
            300: (0.1, 0.1, 0.1, 0.1),
        },
    )
    first, second, third = rung_correlations(table)
    assert first == RungCorrelation(100, "map_multi", 4, pytest.approx(-1.0))
    assert second == RungCorrelation(200, "map_multi", 4, pytest.approx(4 / 6))
    assert third == RungCorrelation(300, "map_multi", 4, None), "one value for all says nothing"


def test_pruned_trials_and_the_last_evaluation_do_not_count(tmp_path: Path) -> None:
    table = study(tmp_path, {200: (0.4, 0.3, 0.2, 0.9)}, states=("complete", "complete", "complete", "pruned"))
    assert rung_correlations(table) == [RungCorrelation(200, "map_multi", 3, pytest.approx(-1.0))]
    two = study(tmp_path / "two", {200: (0.1, 0.2, 0.3, 0.4)}, states=("complete", "complete", "pruned", "failed"))
    assert rung_correlations(two) == []
    assert not any("during training" in str(one.title) for one in comparison(two))


def test_compare_shows_every_objective(tmp_path: Path) -> None:
    results = [trial_result(number, alpha=0.1 * number, study="made") for number in range(6)]
    table = collect(write_study(tmp_path / "made", results, experiment_json("made")))
    shown = comparison_json(table)["rungs"]
    assert [(one["step"], one["metric"]) for one in shown] == [
        (step, metric) for step in (100, 200, 300) for metric in ("map_multi", "rank_distance")
    ]
    # Every curve is its final value times one function of the step.
    assert all((one["trials"], one["tau"]) == (6, pytest.approx(1.0)) for one in shown)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*comparison(table))
    text = console.export_text()
    assert "made: order of trials during training and at the end" in text
    assert [line.split() for line in text.splitlines() if line.split()[:1] == ["300"]] == [["300", "6", "1.00", "1.00"]]
