"""The response of each objective to each searched value, the weights of the mix first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from hybridbatch.report.figures.comparable import comparable, is_logarithmic
from hybridbatch.report.naming import counted, measure_name, measure_text, number
from hybridbatch.report.response_fit import Response, TooFew, as_number, fit_response
from hybridbatch.spec.objectives import objective_directions

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hybridbatch.report.collect import StudyTable, TrialRow

_BAND, _STRIPE = "rgba(123,135,148,0.22)", "rgba(47,158,116,0.16)"
_OF_THE_MIX = ("map_mono", "map_cross", "map_multi", "rank_distance")
_INTRO = (
    "Each figure shows one measure of the selection set against one searched value; the other searched values differ "
    "between the points too. Diamonds are baselines, at the value they were run with. The line is the expected measure "
    "by a Gaussian process over all searched values, the others averaged out; its band is a 95% credible interval of "
    "the expectation, and the shaded stripe one for the place of the best value. The search looks more often where it "
    "expects much, and pruned trials have no final value: what lies elsewhere is known less well."
)


def response_cards(table: StudyTable) -> list[FigureCard]:
    """Return a figure for each searched path and objective; for weights of the mix, for the four headline measures."""
    cards = []
    for path in table.searched:
        metrics = [objective.metric for objective in table.objectives]
        metrics += [metric for metric in _OF_THE_MIX if path.startswith(MIX) and metric not in metrics]
        cards += [card for metric in metrics if (card := _card(table, path, metric)) is not None]
    return cards


def _card(table: StudyTable, path: str, metric: str) -> FigureCard | None:
    rows = tuple(row for row in table.complete if path in row.placed and measured(row, table, metric) is not None)
    if not rows:
        return None
    numeric = all(as_number(row.placed[path]) is not None for row in rows)
    counted_lists = numeric and any(isinstance(row.placed[path], list | tuple) for row in rows)
    places: dict[int, Any] = {
        row.result.number: as_number(row.placed[path]) if numeric else safe(row.placed[path]) for row in rows
    }
    log = numeric and is_logarithmic(table, path) and min(map(float, places.values())) > 0
    figure = new_figure(f"number of {safe(path)}" if counted_lists else safe(path), axis_name(metric), log_x=log)
    if log:
        tick_logarithmic(figure, [float(place) for place in places.values()])
    if not numeric:
        figure.update_xaxes(type="category")
    fitted = response_of(table, path, metric) if numeric else TooFew("a choice, not a number: no response is fitted")
    if isinstance(fitted, Response):
        _add_response(figure, fitted)
    for name, colour, members in groups(table, rows):
        figure.add_scatter(
            x=[places[row.result.number] for row in members],
            y=[measured(row, table, metric) for row in members],
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": _symbols(members), "size": 10, "opacity": 0.9, "line": {"width": 0}},
            text=[hover(row) for row in members],
            hovertemplate=f"%{{text}}<br>{axis_name(metric)} %{{y:.4g}}<extra></extra>",
        )
    caption = f"{measure_name(metric)} on the selection set against {path}, {counted(len(rows), 'complete trial')}. "
    caption += _said(fitted, metric)
    title = f"{measure_name(metric)} by {path}"
    return FigureCard("Response to what was searched", title, caption, figure, intro=_INTRO)


def response_of(table: StudyTable, path: str, metric: str) -> Response | TooFew:
    """Return the response of a measure to one searched path, from the trials that differ in searched values alone."""
    rows = [row for row in comparable(table) if measured(row, table, metric) is not None]
    return fit_response(
        [{one: row.placed[one] for one in table.searched} for row in rows],
        [value for row in rows if (value := measured(row, table, metric)) is not None],
        path,
        logarithmic=frozenset(one for one in table.searched if is_logarithmic(table, one)),
        direction=objective_directions().get(metric) or "maximize",
    )


def _said(fitted: Response | TooFew, metric: str) -> str:
    if isinstance(fitted, TooFew):
        return f"No line: {fitted.reason}."
    noise = measure_text(metric, fitted.noise)
    ends = f"{number(fitted.optimum_low[0])} to {number(fitted.optimum_high[0])}"
    best = (
        f"Where it is best is not known from these trials: anywhere from {ends}"
        if fitted.is_vague
        else f"Best expected at {number(fitted.optimum[0])} (95%: {ends})"
    )
    return (
        f"{best}; a trial scatters by {noise} (standard deviation) around the line, fitted to {fitted.trials} trials."
    )


def _symbols(rows: list[TrialRow]) -> list[str]:
    return ["star" if row.best else "diamond" if row.result.baseline else "circle" for row in rows]


def _add_response(figure: go.Figure, fitted: Response) -> None:
    """Add the expected measure, its band, and a stripe where the best value may be."""
    places = [place for (place,) in fitted.places]
    figure.add_scatter(
        x=[*places, *reversed(places)],
        y=[*fitted.high, *reversed(fitted.low)],
        mode="lines",
        fill="toself",
        fillcolor=_BAND,
        line={"width": 0},
        name="95% interval",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=places,
        y=list(fitted.mean),
        mode="lines",
        line={"color": FRONT, "width": 2},
        name="expected",
        hovertemplate="%{x:.4g}: expected %{y:.4g}<extra></extra>",
    )
    if not fitted.is_vague:
        figure.add_vrect(x0=fitted.optimum_low[0], x1=fitted.optimum_high[0], fillcolor=_STRIPE, line_width=0)
