"""The page of a study: one HTML file that needs no network and no other file."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hybridbatch.foundation import atomic
from hybridbatch.report.baselines import MEASURES, baseline_differences, baseline_groups
from hybridbatch.report.effect_tables import EFFECT_COLUMNS, effect_method, effect_rows
from hybridbatch.report.export import leakage
from hybridbatch.report.figures.study import study_cards
from hybridbatch.report.naming import duration, measure_name, measure_text, number, short_paths
from hybridbatch.report.rendering import render_page
from hybridbatch.report.tables import contender_columns, contender_rows, difference_text, is_clear, spread_text
from hybridbatch.report.taken_text import taken_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hybridbatch.report.collect import StudyTable, TrialRow
    from hybridbatch.report.effects import ArmEffects
    from hybridbatch.report.figures.card import FigureCard

_PACKAGES = ("packages", "package_lock", "lock")  # shown apart: hundreds of lines
_ARROW = {"maximize": "↑", "minimize": "↓"}

Cell = dict[str, Any]


def write_page(table: StudyTable, path: Path, command: str | None = None, effects: ArmEffects | None = None) -> Path:
    """Write the page of a study and return its path.

    Args:
        table: The study.
        path: The HTML file.
        command: The command that makes the study again; by default ``hybridbatch run experiment.json``, with the
            experiment as the page shows it.
        effects: What its arms change against the control, where there are some.
    """
    atomic.write_text(path, study_page(table, command, effects))
    return path


def study_page(table: StudyTable, command: str | None = None, effects: ArmEffects | None = None) -> str:
    """Return the page of a study as HTML; depends on the trial folders alone, not on the clock."""
    cards = study_cards(table, effects)
    return render_page(
        "study.html.jinja",
        cards,
        table=table,
        counts=table.counts(),
        tiles=_tiles(table),
        constraints=" and ".join(one.name for one in table.constraints),
        taken=taken_lines(table.taken.entries()),
        trial_columns=_trial_columns(table),
        trial_rows=[_trial_cells(table, row) for row in table.rows],
        report_tables=[_report_table(table, dataset) for dataset in table.report_sets],
        baselines=_baselines(table),
        contenders=contender_rows(table),
        contender_columns=contender_columns(table),
        differences=_differences(table),
        measures=[measure_name(measure) for measure in MEASURES],
        effects=effects,
        effect_columns=[_column(name, hint, right=right) for name, hint, right in EFFECT_COLUMNS],
        effect_rows={} if effects is None else effect_rows(effects),
        effect_method="" if effects is None else effect_method(effects),
        sections=_sections(cards),
        unhappy=[row for row in table.rows if row.result.state != "complete"],
        leakage=leakage(table),
        provenance=_provenance(table),
        packages=_packages(table),
        command=command or "hybridbatch run experiment.json",
        revisions=_revisions(table),
        uncommitted=any(state.get("dirty") for state in _git_states(table)),
        experiment=json.dumps(table.experiment, indent=2, ensure_ascii=False),
    )


def _tiles(table: StudyTable) -> list[tuple[str, str]]:
    counts = table.counts()
    rest = [f"{counts[state]} {state}" for state in ("pruned", "failed", "unfinished") if counts[state]]
    tiles = [("trials complete" + (f" ({', '.join(rest)})" if rest else ""), str(counts["complete"]))]
    if table.best is not None and table.best.result.values is not None:
        for objective, value in zip(table.objectives, table.best.result.values, strict=False):
            name = f"{measure_name(objective.metric)} of the best"
            tiles.append((name, measure_text(objective.metric, value)))
        tiles.append(("best trial", table.best.name))
    spent = sum(row.result.seconds.get("total", 0.0) for row in table.rows)
    return [*tiles, ("time in all trials", duration(spent))]


def _trial_columns(table: StudyTable) -> list[dict[str, Any]]:
    objectives = [
        _column(f"{measure_name(one.metric)} {_ARROW[one.direction]}", f"{one.metric}, {one.direction}")
        for one in table.objectives
    ]
    short = short_paths(table.searched)
    return [
        _column("trial", "number in the study, and baseline", right=False),
        _column("state", "complete, pruned or failed", right=False),
        *objectives,
        *(_column(short[path], path) for path in table.searched),
        _column("seed", "training.seed"),
        _column("steps", "optimizer steps done"),
        _column("time", "wall time, evaluation included"),
    ]


def _column(name: str, hint: str, *, right: bool = True) -> dict[str, Any]:
    return {"name": name, "hint": hint, "right": right}


def _trial_cells(table: StudyTable, row: TrialRow) -> dict[str, Any]:
    result = row.result
    values = result.values or (None,) * len(table.objectives)
    seconds = result.seconds.get("total")
    cells = [_measure(one.metric, value) for one, value in zip(table.objectives, values, strict=False)]
    cells += [_cell(row.placed.get(path)) for path in table.searched]
    cells += [_cell(result.seed), _cell(result.steps), {"text": duration(seconds), "key": seconds, "right": True}]
    return {"row": row, "cells": cells}


def _cell(value: Any) -> Cell:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return {"text": number(value), "key": value if numeric else number(value), "right": True}


def _measure(measure: str, value: float | None) -> Cell:
    return {"text": measure_text(measure, value), "key": value, "right": True}


def _report_table(table: StudyTable, dataset: str) -> dict[str, Any]:
    rows = [row for row in table.complete if dataset in row.result.report]
    names = dict.fromkeys(name for row in rows for name in row.result.report[dataset].summary)
    first = [name for name in (*MEASURES, "recall1_mono", "recall1_cross", "recall10_multi") if name in names]
    ordered = [*first, *(name for name in names if name not in first)]
    of_set = rows[0].result.report[dataset]
    return {
        "dataset": dataset,
        "questions": of_set.questions,
        "candidates": of_set.candidates,
        "languages": sorted(of_set.multi),
        "columns": [
            _column("trial", "number in the study, and baseline", right=False),
            *(_column(measure_name(name), name) for name in ordered),
        ],
        "rows": [
            {"row": row, "cells": [_measure(name, row.result.report[dataset].summary.get(name)) for name in ordered]}
            for row in rows
        ],
    }


def _baselines(table: StudyTable) -> list[dict[str, Any]]:
    return [
        {"group": group, "cells": [spread_text(measure, group.measures.get(measure)) for measure in MEASURES]}
        for group in baseline_groups(table)
    ]


def _differences(table: StudyTable) -> list[dict[str, Any]]:
    found = baseline_differences(baseline_groups(table))
    pairs = groupby(found, key=lambda one: (one.dataset, one.first, one.second))
    rows = []
    for (dataset, first, second), members in pairs:
        by_measure = {one.measure: one for one in members}
        cells = [
            {"text": difference_text(by_measure.get(name)), "is_clear": is_clear(by_measure.get(name))}
            for name in MEASURES
        ]
        rows.append({"dataset": dataset, "pair": f"{first} − {second}", "cells": cells})
    return rows


def _sections(cards: list[FigureCard]) -> list[dict[str, Any]]:
    numbered = list(enumerate(cards))
    found = [(title, list(members)) for title, members in groupby(numbered, key=lambda entry: entry[1].section)]
    return [{"title": title, "intro": cards[0][1].intro, "cards": cards} for title, cards in found]


def _provenance(table: StudyTable) -> list[tuple[str, list[str]]]:
    """Return what the trials say of where they come from: a key, and every distinct value of it."""
    found: dict[str, dict[str, None]] = {}
    for row in table.rows:
        for key, value in _leaves(row.result.provenance):
            found.setdefault(key, {})[str(value)] = None
    return [(key, list(values)) for key, values in found.items()]


def _leaves(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if not path and name in _PACKAGES:
            continue
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{path}{name}.")
        elif inner is not None:
            yield f"{path}{name}", inner


def _packages(table: StudyTable) -> list[str]:
    for row in reversed(table.rows):
        packages = next((row.result.provenance[name] for name in _PACKAGES if row.result.provenance.get(name)), None)
        if isinstance(packages, dict):
            return [f"{name}=={version}" for name, version in sorted(packages.items())]
        if packages:
            return (
                [str(line) for line in packages] if isinstance(packages, list | tuple) else str(packages).splitlines()
            )
    return []


def _revisions(table: StudyTable) -> list[str]:
    revisions = (state.get("revision") for state in _git_states(table))
    return list(dict.fromkeys(str(revision) for revision in revisions if revision))


def _git_states(table: StudyTable) -> list[dict[str, Any]]:
    states = [row.result.provenance.get("git") for row in table.rows]
    return [state for state in states if isinstance(state, dict)]
