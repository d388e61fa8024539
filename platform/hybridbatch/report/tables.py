"""A study for the terminal: rich tables of its trials, its report sets and its baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from hybridbatch.report.baselines import MEASURES, baseline_differences, baseline_groups
from hybridbatch.report.naming import duration, measure_name, measure_text, number, short_paths
from hybridbatch.report.replicates import best_by_mean, contender_groups, contender_runs
from hybridbatch.report.rung_correlation import rung_correlations
from hybridbatch.report.taken_text import taken_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hybridbatch.report.baselines import BaselineDifference, BaselineGroup, Spread
    from hybridbatch.report.collect import StudyTable, TrialRow
    from hybridbatch.report.rung_correlation import RungCorrelation

_STATE_STYLE = {"complete": "green", "pruned": "yellow", "failed": "red"}
_ARROW = {"maximize": "↑", "minimize": "↓"}
_ROUND = 10.0  # a ratio is shown without decimals from here on
_CLEAR = 2.0  # a difference of so many standard deviations over seeds is shown in bold
LEGEND = "★ best by the first objective   ◆ Pareto-optimal"
BROKEN = "✗"  # marks a complete trial that breaks a constraint


def comparison(table: StudyTable) -> list[Table]:
    """Return everything that ``compare`` prints, in order."""
    tables = [trial_table(table)]
    tables += [report_table(table, dataset) for dataset in table.report_sets]
    rungs = rung_table(table)
    tables += [rungs] if rungs.row_count else []
    for dataset in dict.fromkeys(group.dataset for group in baseline_groups(table)):
        tables.append(baseline_table(table, dataset))
        differences = difference_table(table, dataset)
        tables += [differences] if differences.row_count else []
    tables += contender_tables(table)
    return [with_whole_figures(one) for one in tables]


def trial_table(table: StudyTable) -> Table:
    """Return the trials: state, objectives (measured on the selection set), searched values, time."""
    shown = plain_table(f"{table.study}: trials", "\n".join((legend(table), *taken_lines(table.taken.entries()))))
    for heading in ("", "trial", "state"):
        shown.add_column(heading)
    for objective in table.objectives:
        shown.add_column(f"{measure_name(objective.metric)}\u00a0{_ARROW[objective.direction]}", justify="right")
    for name in short_paths(table.searched).values():
        shown.add_column(name, justify="right")
    shown.add_column("steps", justify="right")
    shown.add_column("time", justify="right")
    for row in table.rows:
        values = row.result.values or (None,) * len(table.objectives)
        shown.add_row(
            _mark(row),
            row.name,
            Text(row.result.state, style=_STATE_STYLE[row.result.state]),
            *(measure_text(one.metric, value) for one, value in zip(table.objectives, values, strict=False)),
            *(number(row.placed.get(path)) for path in table.searched),
            str(row.result.steps),
            duration(row.result.seconds.get("total")),
            style="bold" if row.best else None,
        )
    return shown


def legend(table: StudyTable) -> str:
    """Return what the marks of trials mean."""
    kept = " and ".join(one.name for one in table.constraints)
    return f"{LEGEND}   {BROKEN} does not keep to {kept}" if kept else LEGEND


def rung_table(table: StudyTable) -> Table:
    """Return how evaluations during training order the complete trials as their final values do."""
    title = f"{table.study}: order of trials during training and at the end"
    caption = "(Kendall's tau over complete trials: 1 the same order, 0 chance)"
    shown = plain_table(title, caption)
    shown.width = max(len(title), len(caption))  # else they are broken to the width of a few figures
    shown.add_column("step", justify="right")
    shown.add_column("trials", justify="right")
    for objective in table.objectives:
        shown.add_column(measure_name(objective.metric), justify="right")
    shown.add_column("", ratio=1)  # takes what the figures leave
    by_step: dict[int, dict[str, RungCorrelation]] = {}
    for one in rung_correlations(table):
        by_step.setdefault(one.step, {})[one.metric] = one
    for step, found in by_step.items():
        taus = (found[one.metric].tau if one.metric in found else None for one in table.objectives)
        most = max(one.trials for one in found.values())
        shown.add_row(str(step), str(most), *("" if tau is None else f"{tau:.2f}" for tau in taus))
    return shown


def report_table(table: StudyTable, dataset: str) -> Table:
    """Return the measures of the complete trials on one report set."""
    measures = _measures_on(table, dataset)
    shown = plain_table(f"{table.study}: {dataset} (report set, looked at once at the end)")
    shown.add_column("")
    shown.add_column("trial")
    for measure in measures:
        shown.add_column(measure_name(measure), justify="right")
    for row in table.complete:
        if dataset in row.result.report:
            summary = row.result.report[dataset].summary
            cells = (measure_text(measure, summary.get(measure)) for measure in measures)
            shown.add_row(_mark(row), row.name, *cells, style="bold" if row.best else None)
    return shown


def baseline_table(table: StudyTable, dataset: str) -> Table:
    """Return mean and standard deviation over seeds of each baseline on one data set."""
    groups = [group for group in baseline_groups(table) if group.dataset == dataset]
    title = f"{table.study}: baselines on {dataset}, mean ± standard deviation over seeds"
    return _spread_table(title, "baseline", groups)


def _spread_table(title: str, heading: str, groups: Iterable[BaselineGroup]) -> Table:
    shown = plain_table(title)
    shown.add_column(heading, no_wrap=True)
    shown.add_column("seeds", justify="right")
    for measure in MEASURES:
        shown.add_column(measure_name(measure), justify="right")
    for group in groups:
        spreads = (spread_text(measure, group.measures.get(measure)) for measure in MEASURES)
        shown.add_row(group.baseline, str(len(group.trials)), *spreads)
    return shown


def contender_tables(table: StudyTable) -> list[Table]:
    """Return the contenders over their seeds: objectives, then the measures on each report set; none without any."""
    rows = contender_rows(table)
    if not rows:
        return []
    shown = plain_table(
        f"{table.study}: contenders over their seeds, mean ± standard deviation",
        "▲ best by the mean   ★ best single trial: the best of many looks better than it is   (alone: the trial of the "
        "search)",
    )
    for heading in ("", "trial"):
        shown.add_column(heading)
    shown.add_column("seeds", justify="right")
    for column in contender_columns(table):
        shown.add_column(column, justify="right")
    for row in rows:
        shown.add_row(row.mark, str(row.trial), str(row.seeds), *row.cells)
    groups = contender_groups(table)
    more = [
        _spread_table(f"{table.study}: contenders on {dataset}, mean ± standard deviation over seeds", "", of_set)
        for dataset in table.report_sets
        if (of_set := [group for group in groups if group.dataset == dataset])
    ]
    return [shown, *more]


class ContenderRow(NamedTuple):
    """A contender as it is shown: its mark, its number, how many seeds, and a text for each of the columns."""

    mark: str
    trial: int
    seeds: int
    cells: tuple[str, ...]


def contender_columns(table: StudyTable) -> tuple[str, ...]:
    """Return the headings of what is shown of contenders."""
    return tuple(
        column
        for objective in table.objectives
        for column in (measure_name(objective.metric), "alone", "further seeds")
    )


def contender_rows(table: StudyTable) -> list[ContenderRow]:
    """Return the contenders as they are shown; none without replicates."""
    best, single = best_by_mean(table), table.best
    rows = []
    for one in contender_runs(table):
        cells: list[str] = []
        for metric, spread in one.spread.items():
            further = measure_text(metric, one.further.get(metric))
            cells += [spread_text(metric, spread), measure_text(metric, one.alone[metric]), further]
        mark = "▲" if best is not None and one.trial == best.trial else ""
        mark += "★" if single is not None and one.trial == single.result.number else ""
        rows.append(ContenderRow(mark, one.trial, len(one.trials), tuple(cells)))
    return rows


def difference_table(table: StudyTable, dataset: str) -> Table:
    """Return the differences of baselines on one data set, with their size in units of the seed noise."""
    shown = plain_table(
        f"{table.study}: differences on {dataset}", "(xN: N pooled standard deviations over seeds, bold from 2 on)"
    )
    shown.add_column("first - second")
    for measure in MEASURES:
        shown.add_column(measure_name(measure), justify="right")
    by_pair: dict[tuple[str, str], dict[str, BaselineDifference]] = {}
    for one in baseline_differences(baseline_groups(table)):
        if one.dataset == dataset:
            by_pair.setdefault((one.first, one.second), {})[one.measure] = one
    for (first, second), measures in by_pair.items():
        shown.add_row(f"{first} - {second}", *(_difference_cell(measures.get(measure)) for measure in MEASURES))
    return shown


def spread_text(measure: str, spread: Spread | None) -> str:
    """Return ``.9123 ± .0021``, or the mean alone with one seed."""
    if spread is None:
        return ""
    mean = measure_text(measure, spread.mean)
    return mean if spread.deviation is None else f"{mean} ± {measure_text(measure, spread.deviation)}"


def difference_text(one: BaselineDifference | None) -> str:
    """Return ``+.0912 (x12)``: the difference, and its size in units of the seed noise."""
    if one is None:
        return ""
    size = "" if one.ratio is None else f" (x{one.ratio:.{0 if one.ratio >= _ROUND else 1}f})"
    return measure_text(one.measure, one.difference, signed=True) + size


def is_clear(one: BaselineDifference | None) -> bool:
    """Return whether a difference is at least twice the seed noise."""
    return one is not None and one.ratio is not None and one.ratio >= _CLEAR


def _difference_cell(one: BaselineDifference | None) -> Text:
    return Text(difference_text(one), style="bold" if is_clear(one) else "")


def _measures_on(table: StudyTable, dataset: str) -> tuple[str, ...]:
    preferred = (*MEASURES, "recall1_mono", "recall1_cross", "recall10_multi")
    there = {
        name for row in table.complete if dataset in row.result.report for name in row.result.report[dataset].summary
    }
    return tuple(measure for measure in preferred if measure in there)


def _mark(row: TrialRow) -> str:
    broken = row.result.values is not None and not row.feasible
    return ("★" if row.best else "") + ("◆" if row.pareto else "") + (BROKEN if broken else "")


def plain_table(title: str, caption: str | None = None) -> Table:
    """Return an empty table in the style of all of them."""
    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )


def with_whole_figures(table: Table) -> Table:
    """Return ``table`` with figures that no narrow terminal cuts; texts may be broken, at their spaces first."""
    for column in table.columns:
        if column.justify == "right":
            column.no_wrap, column.header = True, str(column.header).replace(" ", "\n")
            lines = (*column.header.split("\n"), *map(_plain, column.cells))
            column.min_width = max(map(cell_len, lines), default=0)
        else:
            words = (word for cell in (column.header, *column.cells) for word in _plain(cell).split())
            column.min_width = max(map(cell_len, words), default=0)
    return table


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)
