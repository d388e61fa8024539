"""Learning curves on the selection set."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hybridbatch.report.figures.card import PRUNED, FigureCard, axis_name, groups, hover, new_figure
from hybridbatch.report.naming import counted, measure_name

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hybridbatch.report.collect import StudyTable, TrialRow

_MEASURE = "map_multi"


def curve_cards(table: StudyTable) -> list[FigureCard]:
    """Return the curves of all trials that were evaluated at least once."""
    there = {name for row in table.rows for rung in row.result.rungs for name in rung.summary}
    metric = _MEASURE if _MEASURE in there else next((o.metric for o in table.objectives if o.metric in there), None)
    if metric is None:
        return []
    figure = new_figure("step", axis_name(metric))
    stopped = tuple(row for row in table.rows if row.result.state != "complete")
    for name, colour, members in groups(table, table.complete):
        _add(figure, members, metric, name, colour)
    for state, dash in (("pruned", "dot"), ("failed", "dash")):
        _add(figure, [row for row in stopped if row.result.state == state], metric, state, PRUNED, dash=dash)
    pruned = Counter(row.result.rungs[-1].step for row in stopped if row.result.state == "pruned" and row.result.rungs)
    for step in sorted(pruned):
        figure.add_vline(x=step, line={"width": 1, "dash": "dot", "color": PRUNED})
    ends = ", ".join(f"{count} at step {step:,}" for step, count in sorted(pruned.items()))
    marked = f", at the rungs that vertical lines mark: {ends}." if ends else "."
    caption = (
        f"{measure_name(metric)} on the selection set at each evaluation (points), one line a trial, the best one "
        f"thick: {counted(len(table.complete), 'complete trial')}, {sum(pruned.values())} pruned. Dotted grey lines "
        f"that end in a cross were pruned there{marked}"
    )
    return [FigureCard("Learning curves", f"{measure_name(metric)} by step", caption, figure, shape="wide")]


def _add(figure: go.Figure, rows: list[TrialRow], metric: str, name: str, colour: str, *, dash: str = "solid") -> None:
    shown = False
    for row in rows:
        points = [(rung.step, rung.summary[metric]) for rung in row.result.rungs if metric in rung.summary]
        if not points:
            continue
        last = len(points) - 1
        ended = "x" if dash == "dot" else "circle"
        figure.add_scatter(
            x=[step for step, _ in points],
            y=[value for _, value in points],
            mode="lines+markers",
            name=name,
            legendgroup=name,
            showlegend=not shown,
            line={"color": colour, "dash": dash, "width": 3.5 if row.best else 1.5},
            marker={
                "color": colour,
                "symbol": [ended if index == last else "circle" for index in range(len(points))],
                "size": [9 if index == last and ended == "x" else 4 for index in range(len(points))],
            },
            opacity=1.0 if row.best else 0.75,
            text=[hover(row)] * len(points),
            hovertemplate="%{text}<br>step %{x}: %{y:.4f}<extra></extra>",
        )
        shown = True
