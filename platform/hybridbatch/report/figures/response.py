"""The response of each objective to each searched value, the weights of the mix first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hybridbatch.report.collect import MIX
from hybridbatch.report.figures.card import (
    FRONT,
    FigureCard,
    axis_name,
    groups,
    hover,
    measured,
    new_figure,
    safe,
    tick_logarithmic,
)
from hybridbatch.report.naming import measure_name

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hybridbatch.report.collect import StudyTable, TrialRow

_OF_THE_MIX = ("map_mono", "map_cross", "map_multi", "rank_distance")
_INTRO = (
    "Each figure shows one measure of the selection set against one searched value; the other searched values differ "
    "between the points too. Diamonds are baselines, at the value they were run with."
)
_FEWEST_FOR_GUIDE = 6
_BANDWIDTH = 0.12  # of the range: wide enough to calm single trials, narrow enough to keep a peak in the middle


def response_cards(table: StudyTable) -> list[FigureCard]:
    """Return a figure for each searched path and objective; for weights of the mix, for the four headline measures."""
    cards = []
    for path in table.searched:
        metrics = [objective.metric for objective in table.objectives]
        metrics += [metric for metric in _OF_THE_MIX if path.startswith(MIX) and metric not in metrics]
        cards += [card for metric in metrics if (card := _card(table, path, metric)) is not None]
    return cards


def is_logarithmic(table: StudyTable, path: str) -> bool:
    """Return whether a path was searched on a logarithmic scale."""
    stated = table.experiment.get("search", {}).get("space", {}).get(path, {})
    return bool(stated.get("log_uniform") or stated.get("log"))


def _card(table: StudyTable, path: str, metric: str) -> FigureCard | None:
    rows = tuple(row for row in table.complete if path in row.placed and measured(row, table, metric) is not None)
    if not rows:
        return None
    numeric = all(_is_number(row.placed[path]) for row in rows)
    log = numeric and is_logarithmic(table, path) and min(row.placed[path] for row in rows) > 0
    figure = new_figure(safe(path), axis_name(metric), log_x=log)
    searched = [row for row in rows if not row.result.baseline]
    if log:
        tick_logarithmic(figure, [float(row.placed[path]) for row in rows])
    if not numeric:
        figure.update_xaxes(type="category")
    guided = numeric and _add_guide(figure, [(row.placed[path], measured(row, table, metric)) for row in searched], log)
    for name, colour, members in groups(table, rows):
        figure.add_scatter(
            x=[row.placed[path] if numeric else safe(row.placed[path]) for row in members],
            y=[measured(row, table, metric) for row in members],
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": _symbols(members), "size": 10, "opacity": 0.9, "line": {"width": 0}},
            text=[hover(row) for row in members],
            hovertemplate=f"%{{text}}<br>{axis_name(metric)} %{{y:.4g}}<extra></extra>",
        )
    caption = f"{measure_name(metric)} on the selection set against {path}, one point a complete trial."
    caption += " The line is a local mean of the searched trials, to guide the eye." if guided else ""
    title = f"{measure_name(metric)} by {path}"
    return FigureCard("Response to what was searched", title, caption, figure, intro=_INTRO)


def _symbols(rows: list[TrialRow]) -> list[str]:
    return ["star" if row.best else "diamond" if row.result.baseline else "circle" for row in rows]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _add_guide(figure: go.Figure, points: list[tuple[float, float | None]], log: bool) -> bool:
    """Add a Gaussian-weighted local mean (Nadaraya 1964, Watson 1964) and return whether there were points enough."""
    known = [(x, y) for x, y in points if y is not None]
    if len({x for x, _ in known}) < _FEWEST_FOR_GUIDE:
        return False
    x_n, y_n = (np.array(column, dtype=np.float64) for column in zip(*known, strict=True))
    place_n = np.log(x_n) if log else x_n
    grid_m = np.linspace(place_n.min(), place_n.max(), 60)
    width = _BANDWIDTH * float(np.ptp(place_n))
    weight_mn = np.exp(-0.5 * ((grid_m[:, None] - place_n[None, :]) / width) ** 2)
    mean_m = weight_mn @ y_n / weight_mn.sum(axis=1)
    figure.add_scatter(
        x=[float(x) for x in (np.exp(grid_m) if log else grid_m)],
        y=[float(y) for y in mean_m],
        mode="lines",
        line={"color": FRONT, "width": 1.5, "dash": "dot"},
        name="local mean",
        hoverinfo="skip",
    )
    return True
