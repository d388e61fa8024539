"""The measures of one model on one data set, as a person reads them and as a script does."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console
from rich.table import Table

from hybridbatch.report.naming import measure_name, measure_text
from hybridbatch.spec.trial import DatasetResult
from hybridbatch.terminal.consoles import headline

_SETTINGS = ("mono", "cross", "multi")


def result_json(result: DatasetResult) -> dict[str, Any]:
    """Return a result with its headline measures (``map_mono``) beside its tables (``cells``, ``multi`` and so on)."""
    summary = {name: None if math.isnan(value) else value for name, value in result.summary.items()}
    counts = {"dataset": result.dataset, "questions": result.questions, "candidates": result.candidates}
    tables = result.model_dump(include={"cells", "multi", "bias", "answer_languages", "more_cells", "seconds"})
    return {**counts, **summary, **tables}


def print_result(result: DatasetResult, console: Console, cells: bool) -> None:
    """Print the headline measures, and with ``cells`` mAP and language of the best answer by pair of languages."""
    said = f"{result.questions:,} questions, {result.candidates:,} candidates, {result.seconds:.1f} s"
    console.print(headline(result.dataset, said))
    ranking = dict.fromkeys(name.rsplit("_", 1)[0] for name in result.summary if name.endswith(_SETTINGS))
    if ranking:
        console.print(_setting_table(result.summary, list(ranking)))
    for name, value in result.summary.items():
        if not name.endswith(_SETTINGS):
            console.print(f"{measure_name(name)}: {measure_text(name, value)}")
    if cells:
        # not as titles of the tables: with few languages those are narrow, and would wrap them
        console.print("\nmAP: question language down, answer language across; dist: rank distance", style="italic")
        console.print(_cell_table(result))
    if cells and result.answer_languages:
        console.print("\nbest answer in the pool: question language down, share by its language across", style="italic")
        console.print(_answer_table(result.answer_languages))


def _setting_table(summary: dict[str, float], ranking: list[str]) -> Table:
    """Return the table of ranking metrics, without the settings that the data set lacks."""
    settings = [setting for setting in _SETTINGS if any(f"{metric}_{setting}" in summary for metric in ranking)]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("measure")
    for setting in settings:
        table.add_column(setting, justify="right")
    for metric in ranking:
        names = [f"{metric}_{setting}" for setting in settings]
        heading = measure_name(names[0]).rsplit(" ", 1)[0]
        table.add_row(heading, *(measure_text(name, summary.get(name)) for name in names))
    return table


def _cell_table(result: DatasetResult) -> Table:
    """Return the table of cells; with eleven languages it is 80 columns wide."""
    languages = list(dict.fromkeys(cell.rsplit("-", 1)[0] for cell in result.cells))
    table = _language_table([*languages, "pool", "dist"])
    for question in languages:
        values = [*(result.cells.get(f"{question}-{answer}") for answer in languages), result.multi.get(question)]
        distance = result.bias.get(question)
        row = [measure_text("map_mono", value)[:5] for value in values]  # 1.000 is as wide as .9999
        table.add_row(question, *row, "" if distance is None else f"{distance:.0f}")
    return table


def _answer_table(answer_languages: dict[str, dict[str, float]]) -> Table:
    """Return the table of the languages of best answers; with eleven languages it is 80 columns wide."""
    columns = list(dict.fromkeys(answer for shares in answer_languages.values() for answer in shares))
    table = _language_table(columns)
    for question, shares in answer_languages.items():
        row = (measure_text("own_language_preference", shares.get(answer))[:5] for answer in columns)
        table.add_row(question, *row)
    return table


def _language_table(columns: list[str]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table
