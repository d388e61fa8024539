"""A figure as the page shows it, and the look that all figures share.

Colours of text, grid and background are left to the page, which knows whether it is dark or light.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hybridbatch.report.naming import measure_name, number

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hybridbatch.report.collect import StudyTable, TrialRow

SEARCHED, PRUNED, FRONT = "#3d7ebf", "#98a2ad", "#7b8794"
BASELINES = ("#d9822b", "#8a63b3", "#2f9e74", "#c4567a", "#9a8326", "#4aa3b5")  # read on white and on black
SEQUENTIAL = ((0.0, "#f3f7ec"), (0.25, "#bfe0c8"), (0.5, "#6cbcc0"), (0.75, "#2f86ad"), (1.0, "#173f6e"))

_TICKS = 6  # as many labels as a telephone shows side by side


@dataclass(frozen=True)
class FigureCard:
    """One figure of the page.

    Attributes:
        section: Heading under which it stands.
        title: Its own heading.
        caption: What it shows.
        intro: How the figures of the section are read; stands once, under the section's heading.
        figure: The figure; None when it cannot be drawn, and then the caption says why.
        shape: ``normal``; ``wide`` takes the page's full width, ``square`` is as high as wide, ``low`` fits a few bars,
            ``tall`` fits many of them.
    """

    section: str
    title: str
    caption: str
    figure: go.Figure | None
    intro: str = ""
    shape: Literal["normal", "wide", "square", "low", "tall"] = "normal"


def new_figure(x: str, y: str, *, log_x: bool = False) -> go.Figure:
    """Return an empty figure with named axes."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template="none",
        margin={"l": 40, "r": 12, "t": 12, "b": 40},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": {"text": ""}},
        hoverlabel={"align": "left"},
        xaxis={"title": {"text": x, "standoff": 10}, "automargin": True, "type": "log" if log_x else None},
        yaxis={"title": {"text": y, "standoff": 12}, "automargin": True},
    )
    return figure


def tick_logarithmic(figure: go.Figure, values: list[float]) -> None:
    """Give a logarithmic x axis a few round ticks: Plotly's own crowd a narrow screen."""
    low, high = min(values), max(values)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1,)):
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        inside = [tick for tick in ticks if 0.9 * low <= tick <= 1.1 * high]
        if len(inside) <= _TICKS:
            break
    if len(inside) > 1:
        figure.update_xaxes(tickvals=inside, ticktext=[f"{tick:.4g}" for tick in inside])


def baseline_colours(table: StudyTable) -> dict[str, str]:
    """Return a colour for each baseline, the same in every figure."""
    names = dict.fromkeys(row.result.baseline for row in table.rows if row.result.baseline)
    return {name: BASELINES[index % len(BASELINES)] for index, name in enumerate(names)}


def groups(table: StudyTable, rows: tuple[TrialRow, ...]) -> list[tuple[str, str, list[TrialRow]]]:
    """Return (escaped name, colour, rows) of the searched trials and of each baseline, without empty ones."""
    colours = baseline_colours(table)
    parts: list[tuple[str, str, list[TrialRow]]] = [
        ("searched", SEARCHED, [row for row in rows if not row.result.baseline])
    ]
    for name, colour in colours.items():
        parts.append((safe(name), colour, [row for row in rows if row.result.baseline == name]))
    return [part for part in parts if part[2]]


def hover(row: TrialRow) -> str:
    """Return what is shown when the pointer is on a trial, with every name escaped."""
    lines = [f"<b>trial {safe(row.name)}</b> seed {row.result.seed}"]
    lines += [f"{safe(path)} = {safe(number(value))}" for path, value in sorted(row.placed.items())]
    return "<br>".join(lines)


def safe(value: Any) -> str:
    """Return ``value`` with everything escaped that Plotly would read as markup."""
    return html.escape(str(value), quote=False)


def measured(row: TrialRow, table: StudyTable, metric: str) -> float | None:
    """Return a measure on the selection set: the objective's value when it is one, else from the evaluation."""
    for index, objective in enumerate(table.objectives):
        if objective.metric == metric and row.result.values is not None:
            return row.result.values[index]
    return row.selection.get(metric)


def axis_name(metric: str) -> str:
    """Return a measure as the name of an axis."""
    return safe(measure_name(metric))
