"""What arms change against the control: three families, gains and losses, tables, figures and keys."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console
from tests.score_tables import LANGUAGES, score_table, task
from tests.trial_folders import experiment_json, trial_result, write_study

from hybridbatch.evaluation.score_files import write_scores
from hybridbatch.metrics.significance.holm import holm
from hybridbatch.report.collect import collect
from hybridbatch.report.effect_tables import effect_notes, effect_tables, verdict
from hybridbatch.report.effects import arm_effects, effects_json, study_effects
from hybridbatch.report.export import comparison_json
from hybridbatch.report.figures.effects import SECTION, effect_cards
from hybridbatch.report.figures.study import study_cards
from hybridbatch.report.page import study_page
from hybridbatch.report.runs import Run

if TYPE_CHECKING:
    from pathlib import Path

    from hybridbatch.spec.folders import StudyFolder

MANY = task(items=range(60))
SEEDS = 5
NOISE = {"plain": 1.0, "better": 0.4, "equal": 1.0}


@cache
def tables(name: str) -> tuple[object, ...]:
    start = 100 * list(NOISE).index(name)
    return tuple(score_table(NOISE[name], start + seed, MANY) for seed in range(SEEDS))


RUNS = [Run(name, tables(name), tuple(f"{name} {seed}" for seed in range(SEEDS))) for name in NOISE]  # type: ignore[arg-type]
EFFECTS = arm_effects({"made": RUNS}, "plain")


def test_the_better_arm_gains_and_the_equal_one_does_not() -> None:
    assert (EFFECTS.control, EFFECTS.arms, EFFECTS.datasets) == ("plain", ("better", "equal"), ("made",))
    assert {(one.first, one.second) for one in EFFECTS.headline} == {("better", "plain"), ("equal", "plain")}
    verdicts = {one.first: set() for one in EFFECTS.headline}
    for one in EFFECTS.headline:
        verdicts[one.first].add(verdict(one))
    assert verdicts == {"better": {"gain"}, "equal": {""}}
    lower = next(one for one in EFFECTS.headline if (one.first, one.measure) == ("better", "rank_distance"))
    assert lower.difference < 0, "less bias is a gain"


def test_each_family_is_corrected_by_itself() -> None:
    for family in (EFFECTS.headline, EFFECTS.languages, EFFECTS.pairs):
        corrected = holm(np.array([one.cautious_p for one in family]))
        assert [one.p_holm for one in family] == pytest.approx(corrected)
        assert all(one.cautious_p >= one.p for one in family)
    assert {one.place for one in EFFECTS.headline} == {None}
    assert {one.place for one in EFFECTS.languages} == set(LANGUAGES)
    pairs = {f"{a}-{b}" for a in LANGUAGES for b in LANGUAGES if a != b}
    assert {one.place for one in EFFECTS.pairs if one.measure == "map_cross"} == pairs


def test_figures_show_intervals_and_what_they_rest_on() -> None:
    cards = effect_cards(EFFECTS)
    titles = [card.title for card in cards]
    assert "mAP cross on made" in titles
    assert "better: every pair of languages on made" in titles
    for card in cards:
        assert card.section == SECTION
        for said in ("5 seeds", "60 parallel questions", "95% intervals", "Holm's correction over all"):
            assert said in card.caption, (card.title, said)
    by_language = cards[titles.index("mAP cross on made")].figure
    assert by_language is not None
    assert [trace.name for trace in by_language.data] == ["better", "equal"]
    of_better = {one.place: one for one in EFFECTS.languages if (one.first, one.measure) == ("better", "map_cross")}
    trace = by_language.data[0]
    for place, value, above, symbol in zip(trace.y, trace.x, trace.error_x.array, trace.marker.symbol, strict=True):
        one = of_better[place]
        assert (value, value + above) == pytest.approx((one.difference, one.high))
        assert symbol == ("circle" if one.holds else "circle-open")
    pairs = cards[titles.index("better: every pair of languages on made")].figure
    assert pairs is not None
    heat = pairs.data[0]
    assert (len(heat.z), heat.zmin) == (3, -heat.zmax)
    assert all(text.startswith("+") for row in heat.text for text in row)


def written(tmp_path: Path) -> StudyFolder:
    experiment = experiment_json(bias_too=True)
    experiment["search"]["baselines"] = {name: {} for name in NOISE}
    results = [
        trial_result(SEEDS * place + seed, baseline=name, seed=seed, sets=("made",))
        for place, name in enumerate(reversed(NOISE))
        for seed in range(SEEDS)
    ]
    study = write_study(tmp_path / "quickstart", results, experiment)
    for result in results:
        assert result.baseline is not None
        table = tables(result.baseline)[result.seed]
        write_scores(table, study.trial(result.number).scores("made"))  # type: ignore[arg-type]
    return study


def test_a_study_is_compared_against_its_first_baseline(tmp_path: Path) -> None:
    study = written(tmp_path)
    table = collect(study)
    found = study_effects(study, table)
    assert found is not None
    assert found.control == "plain", "the first of the experiment file, although its trials come last"
    here, there = ({(one.first, one.measure): one.difference for one in of.headline} for of in (found, EFFECTS))
    assert here == pytest.approx(there)
    content = comparison_json(table, found)["effects"]
    assert json.loads(json.dumps(content, allow_nan=False)) == json.loads(json.dumps(effects_json(found)))
    assert list(content) == ["control", "arms", "headline", "languages", "pairs", "notes"]
    assert comparison_json(table)["effects"] is None
    page = study_page(table, effects=found)
    assert "What each arm changes against plain" in page
    assert len(study_cards(table, found)) == len(study_cards(table)) + len(effect_cards(found))
    assert study_page(table, effects=found) == study_page(collect(study), effects=study_effects(study, table))


def test_broken_scores_are_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    study = written(tmp_path)
    study.trial(0).scores("made").write_bytes(b"no parquet")
    study.trial(1).scores("made").unlink()
    table = collect(study)
    found = study_effects(study, table)
    assert found is not None
    assert {one.first: one.seeds for one in found.headline} == {"better": (5, 5), "equal": (3, 5)}
    assert [note.partition(" are left out")[0] for note in found.notes[:2]] == [
        "the scores of quickstart/0 on made",
        "the scores of quickstart/1 on made",
    ]


def test_a_study_without_arms_has_no_effects(tmp_path: Path) -> None:
    study = write_study(tmp_path / "quickstart", [trial_result(0), trial_result(1, baseline="hybrid")])
    assert study_effects(study, collect(study)) is None
    assert effects_json(None) is None
    assert effect_cards(None) == []


def test_tables_of_no_scores_are_told(tmp_path: Path) -> None:
    study = write_study(tmp_path / "quickstart", [trial_result(n, baseline=name) for n, name in enumerate("ab")])
    found = study_effects(study, collect(study))
    assert found is not None
    assert found.headline == ()
    assert found.notes == ("the arms cannot be compared on xquad-r: not a table of scores",)
    assert effect_tables(found) == []
    assert "cannot be compared" in study_page(collect(study), effects=found)


def test_the_terminal_shows_effects_and_their_method() -> None:
    console = Console(width=120, file=io.StringIO())
    for part in effect_tables(EFFECTS):
        console.print(part)
    for note in effect_notes(EFFECTS):
        console.print(note)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for said in ("made: what each arm changes against plain", "gain", "two-level test", "single languages:", "5, 5"):
        assert said in text
