"""The page about models under perturbations: one HTML file that needs no network and no other file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridbatch.evaluation.perturbed_task import ALL
from hybridbatch.foundation import atomic
from hybridbatch.report.figures.robustness import robustness_cards
from hybridbatch.report.naming import measure_name, measure_text
from hybridbatch.report.rendering import render_page

if TYPE_CHECKING:
    from hybridbatch.report.figures.card import FigureCard
    from hybridbatch.report.robustness import Point, RobustnessTable
    from hybridbatch.spec.perturbations import Perturbation


def write_robustness_page(table: RobustnessTable, path: Path, command: str) -> Path:
    """Write the page and return its path.

    Args:
        table: What is shown.
        path: The HTML file.
        command: The command that gives the same figures again.
    """
    atomic.write_text(path, robustness_page(table, command))
    return path


def robustness_page(table: RobustnessTable, command: str) -> str:
    """Return the page as HTML; it depends on the table and the command alone, not on the clock."""
    cards: list[FigureCard] = []
    sections = []
    for perturbation in table.plan.perturbations:
        here = robustness_cards(table, perturbation.kind)
        sections.append(_section(table, perturbation) | {"cards": list(enumerate(here, len(cards)))})
        cards += here
    return render_page(
        "robustness.html.jinja",
        cards,
        table=table,
        first=table.first,
        sections=sections,
        models=table.plan.models,
        leakage=table.leakage,
        command=command,
    )


def _section(table: RobustnessTable, perturbation: Perturbation) -> dict[str, Any]:
    kind = perturbation.kind
    settings = perturbation.model_dump(mode="json", exclude={"kind", "strength", "seed"}, exclude_none=True)
    rows = [_row(table, model, point) for model in table.plan.models for point in table.curve(model, kind)]
    return {
        "kind": kind,
        "description": perturbation.description,
        "settings": [(name, json.dumps(value, ensure_ascii=False)) for name, value in settings.items()],
        "unaffected": table.unaffected(kind),
        "is_of_texts": any(point.changed for point in table.changed(kind)),
        "measures": [measure_name(name) for name in table.measures],
        "rows": rows,
        "languages": _language_tables(table, kind),
        "examples": [
            (language, f"{strength:g}", *pair)
            for language, pairs in table.examples.get(kind, {}).items()
            for strength, pair in pairs.items()
        ],
    }


def _row(table: RobustnessTable, model: str, point: Point) -> dict[str, Any]:
    levels = point.levels[ALL]
    return {
        "model": model,
        "strength": f"{point.strength:g}",
        "bare": point.perturbation is None,
        "read": reading(point),
        "cells": [
            (measure_text(name, level.value), measure_text(name, level.drop, signed=True) if point.perturbation else "")
            if (level := levels.get(name))
            else ("–", "")
            for name in table.measures
        ],
    }


def _language_tables(table: RobustnessTable, kind: str) -> list[dict[str, Any]]:
    return [
        {
            "measure": measure_name(measure),
            "rows": [
                (
                    model,
                    f"{point.strength:g}",
                    [
                        measure_text(measure, level.value) if (level := point.levels.get(one, {}).get(measure)) else "–"
                        for one in table.languages
                    ],
                )
                for model in table.plan.models
                for point in table.curve(model, kind)
            ],
        }
        for measure in table.measures
    ]


def reading(point: Point, digits: int = 1) -> list[str]:
    """Return what a strength means: shares of texts, characters and words that changed, or passages added.

    Args:
        point: The strength.
        digits: Decimals of the shares, which are in percent.
    """
    if point.added:
        return [f"+{point.added[ALL]:,.0f}"]
    if point.changed:
        return [f"{100 * point.changed[ALL][unit]:.{digits}f}%" for unit in ("texts", "characters", "words")]
    return []
