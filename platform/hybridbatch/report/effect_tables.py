"""Effects of arms as rows of tables: for the page, and for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from hybridbatch.report.effects import FAMILIES
from hybridbatch.report.naming import measure_name, measure_text
from hybridbatch.report.run_comparison import RunComparison
from hybridbatch.report.run_tables import footnotes, interval_name, interval_text, p_text, row_texts
from hybridbatch.report.tables import plain_table, with_whole_figures

if TYPE_CHECKING:
    from hybridbatch.report.effects import ArmEffects
    from hybridbatch.report.run_comparison import RunDifference

EFFECT_COLUMNS = (
    ("arm", "name of the baseline", False),
    ("data set", "the report set", False),
    ("measure", "and language, where it is of one", False),
    ("control", "mean of the control over its seeds", True),
    ("arm", "mean of the arm over its seeds", True),
    ("effect", "arm less control", True),
    ("interval", "confidence interval of the effect", True),
    ("p", "of this row alone", True),
    ("p Holm", "corrected over all rows of the table", True),
    ("verdict", "gain or loss, where it holds", False),
    ("seeds", "runs of arm and control", True),
    ("questions", "parallel questions", True),
)


def effect_rows(effects: ArmEffects) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each family: arm, whether it holds, and cells with a text and a key to sort by."""
    return {family: [_row(one) for one in getattr(effects, family)] for family in FAMILIES}


def effect_tables(effects: ArmEffects) -> list[Table]:
    """Return a table of the headline for each arm on each report set."""
    tables = []
    for dataset in effects.datasets:
        title = f"{dataset or 'scores'}: what each arm changes against {effects.control}"
        shown = plain_table(title)
        shown.add_column("arm")
        shown.add_column("measure")
        comparison = _comparison(effects)
        for heading in ("arm", effects.control, "effect", interval_name(comparison), "p", "p Holm"):
            shown.add_column(heading, justify="right")
        shown.add_column("verdict")
        shown.add_column("seeds", justify="right")
        for one in effects.headline:
            if one.dataset == dataset:
                texts = row_texts(one)
                seeds = f"{one.seeds[0]}, {one.seeds[1]}"
                style = "bold" if one.holds else None
                shown.add_row(one.first, *texts[:7], verdict(one), seeds, style=style)
        tables.append(with_whole_figures(shown))
    return tables


def effect_notes(effects: ArmEffects) -> list[str]:
    """Return how the figures came about, what languages gain and lose, and what a reader has to know."""
    if not effects.headline:
        return list(effects.notes)
    gains, losses = (sum(verdict(one) == word for one in effects.languages) for word in ("gain", "loss"))
    pairs_gained, pairs_lost = (sum(verdict(one) == word for one in effects.pairs) for word in ("gain", "loss"))
    single = (
        f"single languages: {gains} gains and {losses} losses hold among {len(effects.languages)} differences; pairs: "
        f"{pairs_gained} and {pairs_lost} among {len(effects.pairs)}; each a family of its own. `hybridbatch report` "
        "shows them"
    )
    return [effect_method(effects), single, *effects.notes]


def effect_method(effects: ArmEffects) -> str:
    """Return how the figures of the headline came about."""
    return footnotes(_comparison(effects))[0]


def verdict(one: RunDifference) -> str:
    """Return ``gain`` or ``loss`` of the arm, ``differs`` where neither way is better; nothing if it does not hold."""
    if not one.holds:
        return ""
    return {"first": "gain", "second": "loss", None: "differs"}[one.better]


def _comparison(effects: ArmEffects) -> RunComparison:
    return RunComparison(effects.settings, {}, effects.headline, effects.notes)


def _row(one: RunDifference) -> dict[str, Any]:
    name = measure_name(one.measure) + (f" {one.place}" if one.place else "")
    cells = [
        {"text": one.dataset or "", "key": one.dataset or "", "right": False},
        {"text": name, "key": name, "right": False},
        {"text": measure_text(one.measure, one.second_mean), "key": one.second_mean, "right": True},
        {"text": measure_text(one.measure, one.first_mean), "key": one.first_mean, "right": True},
        {"text": measure_text(one.measure, one.difference, signed=True), "key": one.difference, "right": True},
        {"text": interval_text(one), "key": one.low, "right": True},
        {"text": p_text(one.p), "key": one.p, "right": True},
        {"text": p_text(one.p_holm), "key": one.p_holm, "right": True},
        {"text": verdict(one), "key": verdict(one), "right": False},
        {"text": f"{one.seeds[0]}, {one.seeds[1]}", "key": min(one.seeds), "right": True},
        {"text": f"{one.items:,}", "key": one.items, "right": True},
    ]
    return {"arm": one.first, "holds": one.holds, "cells": cells}
