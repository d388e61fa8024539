"""The study table, what compare prints, and the figures."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.study_tables import printed, table_of
from tests.trial_folders import MIX, TEMPERATURE, experiment_json, sample_results, trial_result, write_study

from hybridbatch.foundation.errors import UserError
from hybridbatch.report.baselines import Spread, baseline_differences, baseline_groups, pooled_deviation
from hybridbatch.report.collect import collect
from hybridbatch.report.export import comparison_csv, comparison_json
from hybridbatch.report.figures.importance import importances
from hybridbatch.report.figures.study import study_cards
from hybridbatch.report.naming import counted, duration, measure_text, number, short_paths
from hybridbatch.report.pareto import non_dominated
from hybridbatch.spec.folders import StudyFolder

if TYPE_CHECKING:
    from pathlib import Path

    from hybridbatch.report.collect import StudyTable
    from hybridbatch.spec.trial import TrialResult


@pytest.fixture
def table(tmp_path: Path) -> StudyTable:
    return table_of(tmp_path, sample_results())


# Which trial is best


def test_pareto_front_by_hand() -> None:
    values = [(0.9, 300), (0.8, 200), (0.7, 250), (0.9, 300), (0.6, 200)]
    assert non_dominated(values, ["maximize", "minimize"]) == [True, True, False, True, False]
    assert non_dominated([(1.0,), (3.0,), (2.0,)], ["minimize"]) == [True, False, False]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_whatever_is_not_on_the_front_is_beaten_by_something_on_it(values: list[tuple[int, int]]) -> None:
    front = non_dominated(values, ["maximize", "maximize"])
    assert any(front)
    kept = [value for value, optimal in zip(values, front, strict=True) if optimal]
    for value, optimal in zip(values, front, strict=True):
        beaten = any(a[0] >= value[0] and a[1] >= value[1] and a != value for a in kept)
        assert beaten is not optimal


def test_only_complete_trials_are_best_or_optimal(table: StudyTable) -> None:
    complete = {row.result.number: row.result.values for row in table.complete}
    assert table.best is not None
    assert table.best.result.values is not None
    assert table.best.result.values[0] == max(values[0] for values in complete.values() if values)
    optimal = {row.result.number for row in table.rows if row.pareto}
    assert table.best.result.number in optimal
    assert optimal < set(complete)
    assert table.counts() == {"complete": 14, "pruned": 2, "failed": 1, "unfinished": 0}


def test_minimised_first_objective(tmp_path: Path) -> None:
    experiment = experiment_json()
    experiment["search"]["objectives"] = [{"metric": "rank_distance", "direction": "minimize"}]
    results = [trial_result(n, alpha=a, objectives=("rank_distance",)) for n, a in enumerate((0.9, 0.1, 0.5))]
    table = collect(write_study(tmp_path / "quickstart", results, experiment))
    assert [(row.best, row.pareto) for row in table.rows] == [(False, False), (True, True), (False, False)]


def test_baselines_stand_at_the_values_they_were_run_with(table: StudyTable) -> None:
    placed = {row.result.baseline: row.placed for row in table.rows if row.result.baseline}
    assert {name: values[MIX] for name, values in placed.items()} == {
        "monolingual": 1.0,
        "crosslingual": 0.0,
        "hybrid": 0.5,
    }
    assert {values[TEMPERATURE] for values in placed.values()} == {0.05}
    assert table.searched == (MIX, TEMPERATURE)


def test_the_weights_that_were_kept_are_the_ones_shown(tmp_path: Path) -> None:
    result = trial_result(0).model_copy(update={"best_step": 300})
    table = table_of(tmp_path, [result])
    assert table.rows[0].selection == result.rungs[2].summary


def test_a_study_that_is_not_there_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no study of this name"):
        collect(StudyFolder(tmp_path / "nothing"))


# Baselines against seed noise


def test_differences_by_hand(tmp_path: Path) -> None:
    def run(number: int, baseline: str, cross: float) -> TrialResult:
        result = trial_result(number, baseline=baseline, seed=number)
        of_set = result.report["xquad-r"]
        summary = of_set.summary | {"map_cross": cross}
        return result.model_copy(update={"report": {"xquad-r": of_set.model_copy(update={"summary": summary})}})

    scores = {"hybrid": (0.30, 0.32, 0.34), "monolingual": (0.10, 0.14)}
    results: list[TrialResult] = []
    for name, values in scores.items():
        results += [run(len(results) + index, name, value) for index, value in enumerate(values)]
    groups = baseline_groups(table_of(tmp_path, results))

    assert [(group.baseline, group.trials) for group in groups] == [("hybrid", (0, 1, 2)), ("monolingual", (3, 4))]
    hybrid, mono = (group.measures["map_cross"] for group in groups)
    assert hybrid.seeds == 3
    assert [hybrid.mean, hybrid.deviation] == pytest.approx([0.32, 0.02])
    assert [mono.mean, mono.deviation] == pytest.approx([0.12, math.sqrt(0.0008)])
    one = next(one for one in baseline_differences(groups) if one.measure == "map_cross")
    assert (one.first, one.second) == ("hybrid", "monolingual")
    assert one.difference == pytest.approx(0.2)
    noise = math.sqrt((2 * 0.0004 + 1 * 0.0008) / 3)  # squares of the deviations by n - 1, over 3 degrees of freedom
    assert one.pooled_deviation == pytest.approx(noise)
    assert one.ratio == pytest.approx(0.2 / noise)


@pytest.mark.parametrize(("count", "pairs"), [(2, 1), (5, 10), (6, 5), (10, 9)])
def test_many_baselines_are_compared_with_the_first(tmp_path: Path, count: int, pairs: int) -> None:
    results = [trial_result(number, baseline=f"b{number}") for number in range(count)]
    found = baseline_differences(baseline_groups(table_of(tmp_path, results)))
    compared = {(one.first, one.second) for one in found}
    assert len(compared) == pairs
    assert {("b0", f"b{number}") for number in range(1, count)} <= compared


def test_one_seed_has_no_noise() -> None:
    assert pooled_deviation(Spread(1.0, None, 1), Spread(2.0, None, 1)) is None
    assert pooled_deviation(Spread(1.0, 0.5, 3), Spread(2.0, None, 1)) == pytest.approx(0.5)


def test_without_report_set_baselines_are_compared_on_the_selection_set(tmp_path: Path) -> None:
    groups = baseline_groups(table_of(tmp_path, sample_results(sets=())))
    assert {group.dataset for group in groups} == {"selection"}
    assert len(groups) == 3


# What compare prints


def test_the_terminal_shows_trials_report_sets_and_baselines(table: StudyTable) -> None:
    text = printed(table)
    for expected in ("★◆ ", "0 monolingual", "pruned", "failed", "baselines on xquad-r", "hybrid"):
        assert expected in text
    assert "…" not in text
    narrow, wide = (printed(table, width) for width in (60, 200))
    figures = re.compile(r"[-+]?\d*\.\d+")
    assert figures.findall(narrow) == figures.findall(wide), "a narrow terminal must not cut figures"
    assert "hybrid - " not in printed(table_of_one_baseline(table))


def table_of_one_baseline(table: StudyTable) -> StudyTable:
    return replace(table, rows=tuple(row for row in table.rows if row.result.baseline in (None, "hybrid")))


def test_json_keys_are_the_documented_ones(table: StudyTable) -> None:
    found = comparison_json(table)
    assert list(found) == [
        "study", "objectives", "constraints", "counts", "best", "pareto", "trials", "rungs", "baselines", "differences",
        "effects", "replicates", "leakage", "warm_start",
    ]  # fmt: skip
    assert list(found["trials"][0]) == [
        "number", "baseline", "replicate_of", "state", "reason", "seed", "best", "pareto", "feasible", "values",
        "params", "selection", "report", "steps", "best_step", "seconds",
    ]  # fmt: skip
    assert list(found["baselines"][0]) == ["baseline", "dataset", "trials", "measures"]
    assert list(found["differences"][0]) == [
        "dataset", "measure", "first", "second", "difference", "pooled_deviation", "ratio",
    ]  # fmt: skip
    assert found["trials"][16]["values"] == {"map_multi": None, "rank_distance": None}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_csv_has_a_row_for_each_trial(table: StudyTable) -> None:
    rows = list(csv.DictReader(io.StringIO(comparison_csv(table))))
    assert [row["number"] for row in rows] == [str(number) for number in range(17)]
    assert float(rows[0][f"param:{MIX}"]) == 1.0
    assert rows[16]["report:xquad-r:map_multi"] == ""


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(0.04999), "0.04999"),
        (number(3e-5), "3e-05"),
        (number(1469), "1469"),
        (number(True), "True"),
        (number(None), ""),
        (
            number({"languages": ("en", "es"), "text": [{"path": "a.csv"}]}),
            "{languages: [en, es], text: [{path: a.csv}]}",
        ),
        (counted(1, "trial"), "1 trial"),
        (counted(0.5, "GPU"), "0.5 GPUs"),
        (measure_text("map_mono", 0.79177), ".7918"),
        (measure_text("map_mono", 1.0), "1.0000"),
        (measure_text("map_mono", -0.01234, signed=True), "-.0123"),
        (measure_text("rank_distance", 410.23), "410.2"),
        (measure_text("rank_distance", 0.5), "0.5"),
        (duration(42.4), "42 s"),
        (duration(200), "3 min 20 s"),
        (duration(7500), "2 h 05 min"),
    ],
)
def test_numbers_for_people(shown: str, expected: str) -> None:
    assert shown == expected


def test_paths_are_shortened_as_far_as_they_stay_distinct() -> None:
    paths = ["batches.mix.monolingual", "loss.temperature", "a.size", "b.size", "size"]
    assert short_paths(paths) == {
        "batches.mix.monolingual": "monolingual",
        "loss.temperature": "temperature",
        "a.size": "a.size",
        "b.size": "b.size",
        "size": "size",
    }


# Figures


def test_importance_finds_what_mattered(tmp_path: Path) -> None:
    temperatures = (0.09, 0.03, 0.06, 0.02, 0.08, 0.04, 0.05, 0.07, 0.1, 0.01, 0.055, 0.035)
    results = [trial_result(n, alpha=n / 11, temperature=t, seed=n) for n, t in enumerate(temperatures)]
    shares = importances(table_of(tmp_path, results), 1)  # the rank distance is a function of the mix alone
    assert sum(share.mean for share in shares.values()) == pytest.approx(1.0)
    assert shares[MIX].mean > 0.8
    for share in shares.values():
        assert share.lowest <= share.mean <= share.highest
        assert share.forests == 4
    assert shares[MIX].lowest > shares[TEMPERATURE].highest
    assert any(share.lowest < share.highest for share in shares.values()), "forests of different seeds differ"


@pytest.mark.parametrize(("values", "counts"), [({MIX: 1.0}, True), ({MIX: 1.0, "batches.size": 8}, False)])
def test_importance_counts_baselines_that_differ_in_searched_values_alone(
    table: StudyTable, values: dict[str, float], counts: bool
) -> None:
    search = {**table.experiment["search"], "baselines": {"monolingual": values}}
    stated = replace(table, experiment={**table.experiment, "search": search})
    searched = [row for row in table.complete if not row.result.baseline]
    few = replace(
        stated, rows=(*searched[:2], *(row for row in table.complete if row.result.baseline == "monolingual"))
    )
    assert len(few.complete) >= 4
    assert bool(importances(few, 1)) is counts


def test_figures_of_a_study(table: StudyTable) -> None:
    cards = study_cards(table)
    assert all(card.caption.endswith(".") and card.figure is not None for card in cards)
    sections = list(dict.fromkeys(card.section for card in cards))
    assert sections == [
        "Accuracy against language bias",
        "Response to what was searched",
        "The best trial, language by language",
        "What mattered",
        "Learning curves",
    ]
    languages = [card.title for card in cards if card.section == sections[2]]
    assert languages == ["mAP on xquad-r", "Language of the best answer on xquad-r"]
    response = [card.title for card in cards if card.section == sections[1]]
    assert response[:4] == [f"{name} by {MIX}" for name in ("mAP multi", "rank distance", "mAP mono", "mAP cross")]
