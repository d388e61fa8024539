"""Accuracy against language bias, with the Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybridbatch.report.figures.card import (
    FRONT,
    SEARCHED,
    FigureCard,
    axis_name,
    groups,
    hover,
    new_figure,
    tick_logarithmic,
)
from hybridbatch.report.naming import counted
from hybridbatch.report.pareto import hypervolume_over_time, non_dominated

if TYPE_CHECKING:
    from collections.abc import Callable

    from hybridbatch.report.collect import StudyTable, TrialRow

ACCURACY, BIAS = "map_multi", "rank_distance"
_INTRO = (
    "mAP over the pooled candidates of all languages against the mean distance between the ranks that one answer gets "
    "in different languages. Best is the upper left. On the dotted line, the Pareto front, nothing is gained "
    "in one without loss in the other. The star is the best trial by the first objective; diamonds are baselines."
)
_WIDE_RANGE = 3  # largest over smallest distance from which on the axis is logarithmic


def tradeoff_cards(table: StudyTable) -> list[FigureCard]:
    """Return the figure for the selection set and for each report set that has both measures."""

    def on(dataset: str) -> Callable[[TrialRow], dict[str, float]]:
        return lambda row: row.result.report[dataset].summary if dataset in row.result.report else {}

    cards = [_card(table, "the selection set", lambda row: row.selection)]
    cards += [_card(table, dataset, on(dataset)) for dataset in table.report_sets]
    cards += [_over_time(table, by_hours=by_hours) for by_hours in (False, True)]
    return [card for card in cards if card is not None]


def _card(table: StudyTable, where: str, summary: Callable[[TrialRow], dict[str, float]]) -> FigureCard | None:
    rows = tuple(row for row in table.complete if {ACCURACY, BIAS} <= summary(row).keys())
    if not rows:
        return None
    points = {row.result.number: (summary(row)[BIAS], summary(row)[ACCURACY]) for row in rows}
    distances = [distance for distance, _ in points.values()]
    log = 0 < _WIDE_RANGE * min(distances) < max(distances)
    figure = new_figure(f"{axis_name(BIAS)} (lower is fairer)", f"{axis_name(ACCURACY)} (higher is better)", log_x=log)
    if log:
        tick_logarithmic(figure, distances)
    optimal = non_dominated(list(points.values()), ["minimize", "maximize"])
    front = sorted(point for point, kept in zip(points.values(), optimal, strict=True) if kept)
    figure.add_scatter(
        x=[x for x, _ in front],
        y=[y for _, y in front],
        mode="lines",
        line={"shape": "hv", "dash": "dot", "color": FRONT, "width": 1.5},
        name="Pareto front",
        hoverinfo="skip",
    )
    for name, colour, members in groups(table, rows):
        figure.add_scatter(
            x=[points[row.result.number][0] for row in members],
            y=[points[row.result.number][1] for row in members],
            mode="markers",
            name=name,
            marker={
                "color": colour,
                "symbol": ["star" if row.best else "circle" if name == "searched" else "diamond" for row in members],
                "size": [17 if row.best else 10 for row in members],
                "opacity": 0.9,
                "line": {"width": 0},
            },
            text=[hover(row) for row in members],
            hovertemplate="%{text}<br>distance %{x:.1f}, mAP %{y:.4f}<extra></extra>",
        )
    caption = f"{counted(len(rows), 'complete trial')}, measured on {where}."
    return FigureCard("Accuracy against language bias", f"On {where}", caption, figure, intro=_INTRO)


def _over_time(table: StudyTable, *, by_hours: bool) -> FigureCard | None:
    ended = sorted(table.rows, key=lambda row: (row.result.finished, row.result.number))
    outcomes = [(row.result.seconds.get("total", 0.0) / 3600, _outcome(row)) for row in ended]
    points = hypervolume_over_time(outcomes, ("minimize", "maximize"))
    if not points:
        return None
    along = "hours of work on trials" if by_hours else "trials ended"
    figure = new_figure(along, "dominated share of the box")
    figure.add_scatter(
        x=[point.hours if by_hours else point.trials for point in points],
        y=[point.share for point in points],
        mode="lines+markers",
        line={"shape": "hv", "color": SEARCHED, "width": 2},
        marker={"size": 5, "color": SEARCHED},
        text=[hover(row) for row in ended],
        hovertemplate=f"after %{{x:.4g}} {along}: %{{y:.3f}}<br>%{{text}}<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(rangemode="tozero")
    complete = sum(values is not None for _, values in outcomes)
    caption = (
        f"Hypervolume: the share of the box between the worst and the best {axis_name(BIAS)} and {axis_name(ACCURACY)} "
        f"on the selection set that {counted(complete, 'complete trial')} of {len(points)} dominate, baselines "
        "included, in the order in which they ended. A curve that has been flat for long says that more trials are of "
        "little use. No interval: these are the trials themselves; shares of different studies do not compare."
    )
    return FigureCard("Accuracy against language bias", f"Hypervolume by {along}", caption, figure, intro=_INTRO)


def _outcome(row: TrialRow) -> tuple[float, float] | None:
    if row.result.state != "complete" or not {ACCURACY, BIAS} <= row.selection.keys():
        return None
    return row.selection[BIAS], row.selection[ACCURACY]
