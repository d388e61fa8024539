"""A heat map by language of the question, as all figures of that kind look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hybridbatch.report.figures.card import new_figure, safe

if TYPE_CHECKING:
    import plotly.graph_objects as go


def question_heat_map(
    values: Sequence[Sequence[float | None]],
    *,
    across: str,
    columns: Sequence[str],
    questions: Sequence[str],
    colours: Sequence[tuple[float, str]],
    hover: str,
    darkest: float | None = None,
) -> go.Figure:
    """Return a heat map with a row for each language of the questions.

    Args:
        values: The value of each cell, row by row; None leaves one empty.
        across: What the columns are.
        columns: Their names.
        questions: Languages of the rows, the first one on top.
        colours: Colours from 0 to the darkest value, by their place between 0 and 1.
        hover: What is shown when the pointer is on a cell: Plotly's template over x, y and z.
        darkest: The value from which on cells are darkest; None: the greatest one.
    """
    figure = new_figure(across, "language of the questions")
    figure.add_heatmap(
        z=values,
        x=[safe(name) for name in columns],
        y=[safe(language) for language in questions],
        colorscale=[list(stop) for stop in colours],
        zmin=0,
        zmax=darkest,
        texttemplate="%{z:.0f}",
        textfont={"size": 11},
        xgap=1.5,
        ygap=1.5,
        showscale=False,
        hovertemplate=hover,
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, ticks="", zeroline=False)
    figure.update_xaxes(type="category", showgrid=False, ticks="", zeroline=False)
    return figure
