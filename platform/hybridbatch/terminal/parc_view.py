"""Retrieval-augmented prompts, as a person reads them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hybridbatch.evaluation.parc import ARMS
from hybridbatch.report.naming import measure_text
from hybridbatch.report.parc import ArmAccuracy, ArmDifference, ParcTable
from hybridbatch.terminal.consoles import headline

_MANY_CUT = 0.01  # share of prompts from which on the reader is told
_LABELS = {"true": "their true labels", "predicted": "labels that the language model gives them"}


def print_parc(table: ParcTable, console: Console) -> None:
    """Print the accuracies by language, and what the retriever's neighbours change."""
    data, settings, outcome = table.outcome.data, table.plan.settings, table.outcome
    words = ", ".join(f"{label} {word}" for label, word in zip(data.labels, outcome.words, strict=True))
    said = (
        f"{table.items:,} items, {len(data.asked[table.languages[0]]):,} pairs a language; pool: "
        f"{len(data.pool):,} pairs of {data.pool_name} in {settings.pool_language}, of other items; "
        f"{settings.neighbours} each, with {_LABELS[settings.labels]}; "
        f"chance {measure_text('accuracy', 1 / len(data.labels))}"
    )
    console.print(headline(data.name, said))
    console.print(Text.assemble(("pattern", "dim"), f" {settings.pattern}  ", ("words", "dim"), f" {words}"))
    console.print("\naccuracy; ± half of the 95% interval by item", style="dim")
    console.print(_accuracies(table), crop=False)
    console.print("\nwhat neighbours change; 95% interval and p by item (Holm over languages)", style="dim")
    console.print(_differences(table), crop=False)
    if outcome.cut > _MANY_CUT * outcome.prompts:
        console.print(f"\n{outcome.cut:,} of {outcome.prompts:,} prompts had texts that did not fit")
    if data.dropped:
        console.print(f"\n{data.dropped} items of the pool have a premise that is asked about, and were left out")
    console.print()
    for line in table.leakage:
        console.print(f"leakage: {line}", style="dim")


def _accuracies(table: ParcTable) -> Table:
    shown = _empty("language")
    for arm in ARMS:
        shown.add_column(arm, justify="right", no_wrap=True)
        shown.add_column("±", justify="right", no_wrap=True, style="dim")
    for place in table.places:
        rows = [row for row in table.accuracies if row.language == place]
        shown.add_row(place or "mean", *(text for row in rows for text in _accuracy(row)))
    return shown


def _accuracy(row: ArmAccuracy) -> tuple[str, str]:
    half = None if row.low is None or row.high is None else (row.high - row.low) / 2
    return measure_text("accuracy", row.accuracy), measure_text("accuracy", half)


def _differences(table: ParcTable) -> Table:
    shown = _empty("language")
    for heading in ("first", "second"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("difference", "low", "high", "p"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in table.differences:
        shown.add_row(row.language or "mean", row.first, row.second, *_difference(row))
    return shown


def _difference(row: ArmDifference) -> list[str]:
    ends = [measure_text("accuracy", value, signed=True) for value in (row.difference, row.low, row.high)]
    return [*ends, f"{row.p if row.p_holm is None else row.p_holm:.4f}"]


def _empty(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, no_wrap=True)
    return table
