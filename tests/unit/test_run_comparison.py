"""Runs compared with each other: the figures, what holds, and what a reader is told."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc
import pytest
from rich.console import Console
from tests.score_tables import score_table, task

from hybridbatch.evaluation.means import summarise
from hybridbatch.foundation.errors import UserError
from hybridbatch.metrics.significance.holm import holm
from hybridbatch.report.run_comparison import ComparisonSettings, RunComparison, RunDifference, compare_runs
from hybridbatch.report.run_export import run_csv, run_json, run_latex, run_markdown
from hybridbatch.report.run_tables import p_text
from hybridbatch.report.runs import Run
from hybridbatch.terminal.comparison_run import print_comparison

FEW = 499
MANY_ITEMS = task(items=range(60))
GOOD = [score_table(0.6, seed, MANY_ITEMS) for seed in range(3)]
BAD = [score_table(1.4, seed, MANY_ITEMS) for seed in range(10, 13)]


def run(name: str, *tables: object, **given: object) -> Run:
    origins = tuple(f"{name} {number}" for number in range(len(tables)))
    return Run(name, tuple(tables), origins, **given)  # type: ignore[arg-type]


def compared(*runs: Run, **how: object) -> RunComparison:
    return compare_runs({"made": runs}, ComparisonSettings(**{"resamples": FEW, **how}))  # type: ignore[arg-type]


def by_measure(differences: Sequence[RunDifference]) -> dict[str, RunDifference]:
    return {one.measure: one for one in differences}


GOOD_AND_BAD = compared(run("good", GOOD[0]), run("bad", BAD[0]))


def test_a_better_run_is_found_better() -> None:
    found = by_measure(GOOD_AND_BAD.differences)
    assert list(found) == ["map_mono", "map_cross", "map_multi", "rank_distance"]
    for measure, one in found.items():
        assert one.first_mean == pytest.approx(summarise(GOOD[0]).summary[measure], abs=1e-12)
        assert one.second_mean == pytest.approx(summarise(BAD[0]).summary[measure], abs=1e-12)
        assert one.difference == pytest.approx(one.first_mean - one.second_mean, abs=1e-12)
        assert one.low is not None
        assert one.high is not None
        assert one.low < one.difference < one.high
        assert (one.test, one.exact, one.seeds, one.items) == ("randomisation", False, (1, 1), 60)
        assert (one.holds, one.better) == (True, "first"), measure
        assert one.low * one.high > 0
    assert found["rank_distance"].difference < 0, "the better one has the lower distance"


def test_p_values_are_corrected_over_all_comparisons() -> None:
    how = compared(run("a", GOOD[0]), run("b", GOOD[1]), run("c", BAD[0]), per_language=True)
    raw = [one.p for one in how.differences]
    assert len(raw) == 3 * 4 * 4
    assert [one.p_holm for one in how.differences] == pytest.approx(holm(np.array(raw)))
    assert all(one.holds == (one.p_holm <= 0.05) for one in how.differences)


def test_a_measure_without_a_better_way_has_no_better_run() -> None:
    own = score_table(0.6, 0, MANY_ITEMS)
    values = own["own_language_preference"]
    always = pc.if_else(pc.is_valid(values), 1.0, None)
    place = own.column_names.index("own_language_preference")
    never = own.set_column(place, "own_language_preference", pc.subtract(always, 1.0))
    found = compared(
        run("a", own.set_column(place, "own_language_preference", always)),
        run("b", never),
        measures=("own_language_preference",),
    )
    (one,) = found.differences
    assert (one.difference, one.holds, one.better, one.effect) == (1.0, True, None, None)


def test_the_same_run_twice_differs_in_nothing() -> None:
    for side in ((GOOD[0],), GOOD):
        for one in compared(run("a", *side), run("b", *side)).differences:
            assert (one.difference, one.p, one.p_holm, one.holds, one.better) == (0.0, 1.0, 1.0, False, None)
            assert one.low is not None
            assert one.high is not None
            assert one.low <= 0 <= one.high


def test_several_seeds_are_compared_over_seeds() -> None:
    found = by_measure(compared(run("good", *GOOD), run("bad", *BAD)).differences)
    one = found["map_multi"]
    assert (one.test, one.seeds, one.better) == ("two-level", (3, 3), "first")
    means = [sum(summarise(table).summary["map_multi"] for table in side) / 3 for side in (GOOD, BAD)]
    assert (one.first_mean, one.second_mean) == pytest.approx(means, abs=1e-12)
    alone = by_measure(compared(run("good", *GOOD), run("bad", *BAD), test="randomisation").differences)["map_multi"]
    assert (alone.test, alone.difference) == ("randomisation", one.difference)
    notes = compared(run("good", *GOOD), run("bad", BAD[0])).notes
    assert any("seed noise of the other" in note for note in notes)
    assert any("two seeds against 3" in note for note in compared(run("good", *GOOD), run("bad", *BAD[:2])).notes)


def test_all_pairs_or_all_against_one() -> None:
    runs = [run("a", GOOD[0]), run("b", GOOD[1]), run("c", BAD[0])]
    pairs = [(one.first, one.second) for one in compared(*runs, measures=("map_mono",)).differences]
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]
    against = compared(*runs, measures=("map_mono",), against="b").differences
    assert [(one.first, one.second) for one in against] == [("a", "b"), ("c", "b")]
    with pytest.raises(UserError, match="called so"):
        compared(*runs, against="d")
    with pytest.raises(UserError, match="two runs at least"):
        compared(runs[0], against="a")


def test_seeds_of_the_resampling_decide_alone() -> None:
    runs = (run("a", GOOD[0]), run("b", GOOD[1]))
    assert compared(*runs).differences == compared(*runs).differences
    assert compared(*runs).differences != compared(*runs, seed=1).differences
    wider, narrower = (compared(*runs, alpha=alpha).differences[0] for alpha in (0.01, 0.2))
    assert wider.low is not None
    assert narrower.low is not None
    assert wider.low < narrower.low
    assert wider.p == narrower.p


def test_what_cannot_be_compared_is_told() -> None:
    fewer = GOOD[0].filter(pc.less(pc.cast(GOOD[0]["item"], "int64"), 40))
    fewer = fewer.filter(pc.not_equal(fewer["question_language"], "es"))
    found = compared(run("a", fewer.drop_columns("mrr")), run("b", BAD[0]), measures=("mrr_mono", "map_mono"))
    said = "\n".join(found.notes)
    assert "a and b on made: 40, 60 parallel questions, compared on the 40 in common" in said
    assert "left out, since not all runs have it: mono es-es, cross es-de, cross es-en, multi es-*" in said
    assert "no question of all runs defines mrr_mono" in said
    with pytest.raises(UserError, match="defines any of the measures"):
        compared(run("a", GOOD[0].drop_columns("mrr")), run("b", BAD[0]), measures=("mrr_mono",))


def test_too_few_resamples_for_a_family_are_told() -> None:
    found = compared(run("a", GOOD[0]), run("b", BAD[0]), per_language=True, cells=True, resamples=300)
    assert len(found.differences) == 22
    assert "300 resamples are too few for 22 comparisons" in found.notes[0]
    assert not any(one.holds for one in found.differences)
    number = int(re.findall(r"--resamples (\d+)", found.notes[0])[0])
    assert 22 / (1 + number) <= 0.05 < 22 / (1 + number - 5)


def test_other_content_of_the_data_set_is_refused() -> None:
    runs = (run("a", GOOD[0], fingerprints=frozenset({"1"})), run("b", BAD[0], fingerprints=frozenset({"2"})))
    with pytest.raises(UserError, match="made held other text"):
        compared(*runs)


def test_two_levels_need_two_seeds() -> None:
    with pytest.raises(UserError, match="several seeds"):
        compared(run("a", GOOD[0]), run("b", BAD[0]), test="two-level")


# What is shown


def printed(comparison: RunComparison, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    print_comparison(comparison, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_cuts_no_figure() -> None:
    wide, narrow = (printed(GOOD_AND_BAD, width) for width in (160, 60))
    figures = re.compile(r"[-+]?\d*\.\d+")
    table = wide[: wide.index("p: paired")]
    assert figures.findall(narrow)[: len(figures.findall(table))] == figures.findall(table)
    for expected in ("made: good (1 seed) - bad (1 seed)", "holds for", "95%", "499 resamples"):
        assert expected in wide
    assert "Holm's correction over 4 comparisons" in wide
    assert "single runs: other seeds may differ" in wide


def test_json_keys_are_the_documented_ones() -> None:
    found = run_json(GOOD_AND_BAD)
    assert list(found) == ["runs", "comparisons", "method", "notes"]
    assert list(found["runs"][0]) == ["name", "dataset", "seeds", "origins"]
    assert list(found["comparisons"][0]) == [
        "dataset", "first", "second", "measure", "place", "first_mean", "second_mean", "difference", "low", "high",
        "effect", "p", "cautious_p", "items", "seeds", "test", "exact", "p_holm", "holds", "better",
    ]  # fmt: skip
    assert list(found["method"]) == ["unit", "interval", "resamples", "seed", "alpha", "correction", "family"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_csv_has_a_row_for_each_comparison() -> None:
    rows = list(csv.DictReader(io.StringIO(run_csv(GOOD_AND_BAD))))
    assert [row["measure"] for row in rows] == ["map_mono", "map_cross", "map_multi", "rank_distance"]
    assert [float(row["p"]) for row in rows] == [one.p for one in GOOD_AND_BAD.differences]
    assert (rows[0]["first_seeds"], rows[0]["place"], rows[0]["holds"]) == ("1", "", "True")


def test_markdown_and_latex_escape_names() -> None:
    names = ("a_b|c", "d&e 50% {f}\\g")
    odd = compared(*(run(name, table) for name, table in zip(names, (GOOD[0], BAD[0]), strict=True)))
    markdown = run_markdown(odd)
    head, rule, *rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert r"a\_b\|c" in rows[0]
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, *rows)}
    assert bars == {13}
    latex = run_latex(odd)
    assert r"d\&e 50\% \{f\}\textbackslash{}g" in latex
    lines = latex.splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert len(body) == 4
    assert all(len(re.findall(r"(?<!\\)&", line)) == 11 and line.endswith(r"\\") for line in body)
    assert r"\textbf{+" in body[0]
    assert "Holm" in latex


@pytest.mark.parametrize(("p", "text"), [(1.0, "1.0000"), (0.04321, ".0432"), (0.0001, ".0001"), (1e-9, "<.0001")])
def test_probabilities_for_people(p: float, text: str) -> None:
    assert p_text(p) == text
