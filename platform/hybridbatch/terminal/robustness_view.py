"""Models under perturbations, as a person reads them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from hybridbatch.evaluation.perturbed_task import ALL
from hybridbatch.report.naming import measure_name, measure_text
from hybridbatch.report.robustness import Point, RobustnessTable
from hybridbatch.report.robustness_page import reading
from hybridbatch.terminal.consoles import headline


def print_robustness(table: RobustnessTable, console: Console) -> None:
    """Print for each perturbation the measures against strength, and the first of them by language."""
    plan, first = table.plan, table.first
    seeds = f"seed {plan.seeds[0]}" if len(plan.seeds) == 1 else f"mean of {len(plan.seeds)} seeds"
    said = f"{first.questions:,} questions, {first.candidates:,} candidates, {plan.side} perturbed, {seeds}"
    console.print(headline(first.dataset, said))
    for perturbation in plan.perturbations:
        kind = perturbation.kind
        console.print(headline(kind, perturbation.description, before="\n"))
        console.print(_measures(table, kind), crop=False)
        if table.measures and len(table.languages) > 1:
            said = f"\n{measure_name(table.measures[0])} by language of the question, and what is lost"
            console.print(said, style="italic")
            console.print(_languages(table, kind), crop=False)
        if unaffected := table.unaffected(kind):
            console.print(f"nothing was changed in: {', '.join(unaffected)}")
    console.print()
    for line in table.leakage:
        console.print(f"leakage: {line}", style="dim")


def _measures(table: RobustnessTable, kind: str) -> Table:
    of_texts = any(point.changed for point in table.changed(kind))
    shown = _empty("model", "strength", *(("texts", "chars", "words") if of_texts else ("passages",)))
    for name in table.measures:
        shown.add_column(measure_name(name), justify="right", no_wrap=True)
    for model in table.plan.models:
        for point in table.curve(model, kind):
            read = ("",) * (3 if of_texts else 1) if point.perturbation is None else reading(point, digits=0)
            cells = [" ".join(_cells(point, ALL, name)).rstrip() for name in table.measures]
            shown.add_row("" if point.perturbation else model, f"{point.strength:g}", *read, *cells)
    return shown


def _languages(table: RobustnessTable, kind: str) -> Table:
    """Return the first measure by language: a row a language, so that eleven of them fit a narrow terminal."""
    measure = table.measures[0]
    shown = _empty("model", "language")
    for strength in (0.0, *table.plan.strengths):
        shown.add_column(f"{strength:g}", justify="right", no_wrap=True)
        if strength:
            shown.add_column("", justify="right", no_wrap=True, style="dim")
    for model in table.plan.models:
        for place, language in enumerate(table.languages):
            points = table.curve(model, kind)
            cells = [
                text for point in points for text in _cells(point, language, measure)[: 2 if point.strength else 1]
            ]
            shown.add_row("" if place else model, language, *cells)
    return shown


def _cells(point: Point, language: str, measure: str) -> tuple[str, str]:
    level = point.levels.get(language, {}).get(measure)
    if level is None:
        return "–", ""
    drop = measure_text(measure, level.drop, signed=True) if point.perturbation else ""
    return measure_text(measure, level.value), drop


def _empty(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
    return table
