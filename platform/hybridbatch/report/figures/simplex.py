"""A measure over the shares of three kinds of batches, as a triangle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hybridbatch.report.figures.card import SEQUENTIAL, FigureCard, hover, measured, safe
from hybridbatch.report.naming import counted, measure_name
from hybridbatch.report.response_fit import Response, fit_surface
from hybridbatch.spec.objectives import objective_directions

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hybridbatch.report.collect import StudyTable, TrialRow

SECTION = "Shares of the mix"
_VARIES = 0.02  # standard deviation of a share over trials from which on it was varied
_SIDES = 20  # steps of the grid along a side
_FULL = 0.999  # of three shares together; kinds beyond three are left out of the triangle
_INTRO = (
    "Each point is a complete trial at the shares of its batches that were of each kind, as they in fact were drawn; "
    "its colour is the measure. Small dots are what a Gaussian process with noise over the shares expects; the cross "
    "is the best of them. A corner is a mix of one kind alone."
)


def simplex_cards(table: StudyTable) -> list[FigureCard]:
    """Return a triangle for each objective and the three mAPs, where three kinds of the mix varied between trials."""
    rows = [row for row in table.complete if sum(row.result.mixture.batches.values())]
    kinds = varied_kinds(rows)
    if len(kinds) < 3:
        return []
    metrics = [one.metric for one in table.objectives]
    metrics += [one for one in ("map_mono", "map_cross", "map_multi") if one not in metrics]
    return [card for metric in metrics if (card := _card(table, rows, kinds[:3], metric)) is not None]


def shares(row: TrialRow) -> dict[str, float]:
    """Return the share of a trial's batches that each kind had."""
    batches = row.result.mixture.batches
    total = sum(batches.values())
    return {kind: count / total for kind, count in batches.items()} if total else {}


def varied_kinds(rows: list[TrialRow]) -> list[str]:
    """Return the kinds of batches whose share differs between trials, the most frequent first."""
    of_rows = [shares(row) for row in rows]
    kinds = {kind for one in of_rows for kind in one}
    share_of = {kind: np.array([one.get(kind, 0.0) for one in of_rows]) for kind in kinds}
    varied = [kind for kind, share_N in share_of.items() if share_N.std() > _VARIES]
    return sorted(varied, key=lambda kind: (-share_of[kind].mean(), kind))


def _card(table: StudyTable, rows: list[TrialRow], kinds: list[str], metric: str) -> FigureCard | None:
    inside = [row for row in rows if sum(shares(row).get(kind, 0.0) for kind in kinds) >= _FULL]
    known = [(row, value) for row in inside if (value := measured(row, table, metric)) is not None]
    if not known:
        return None
    direction = objective_directions().get(metric) or "maximize"
    a_G, b_G = _grid()
    fitted = fit_surface(
        [{kind: shares(row).get(kind, 0.0) for kind in kinds[:2]} for row, _ in known],
        [value for _, value in known],
        dict(zip(kinds[:2], (a_G, b_G), strict=True)),
        direction=direction,
    )
    values = [value for _, value in known]
    figure = _figure(kinds)
    ends = (min(values), max(values))
    if isinstance(fitted, Response):
        mean = list(fitted.mean)
        ends = (min(*ends, *mean), max(*ends, *mean))
        a, b = ([place[at] for place in fitted.places] for at in (0, 1))
        _add(figure, a, b, mean, ends, {"size": 5, "opacity": 0.55}, "expected", "expected %{marker.color:.4g}")
        best_a, best_b = fitted.optimum
        figure.add_scatterternary(
            a=[best_a], b=[best_b], c=[1 - best_a - best_b], mode="markers", cliponaxis=False, name="best expected",
            marker={"symbol": "x", "size": 13, "color": "#d9822b"}, hoverinfo="name",
        )  # fmt: skip
    a, b = ([shares(row).get(kind, 0.0) for row, _ in known] for kind in kinds[:2])
    marker = {"size": 12, "line": {"width": 1.5, "color": "#7b8794"}, "showscale": True}
    texts = [hover(row) for row, _ in known]
    _add(figure, a, b, values, ends, marker, "trials", "%{text}<br>%{marker.color:.4g}", texts)
    left_out = len(rows) - len(inside)
    caption = f"{measure_name(metric)} on the selection set over the shares of {', '.join(kinds)}; "
    caption += f"{counted(len(known), 'complete trial')}, baselines included, whatever else differs between them. "
    caption += f"{counted(left_out, 'trial')} with batches of further kinds left out. " if left_out else ""
    caption += _said(fitted, kinds) if isinstance(fitted, Response) else f"Nothing fitted: {fitted.reason}."
    return FigureCard(SECTION, f"{measure_name(metric)} over the simplex", caption, figure, _INTRO, shape="square")


def _said(fitted: Response, kinds: list[str]) -> str:
    places = [*fitted.optimum, 1 - sum(fitted.optimum)]
    best = ", ".join(f"{kind} {place:.2f}" for kind, place in zip(kinds, places, strict=True))
    ends = ", ".join(
        f"{kind} {low:.2f} to {high:.2f}"
        for kind, low, high in zip(kinds, fitted.optimum_low, fitted.optimum_high, strict=False)
    )
    where = "anywhere, as far as these trials say" if fitted.is_vague else ends
    return f"Best expected at {best}; 95% interval of each share by itself: {where}."


def _grid() -> tuple[np.ndarray, np.ndarray]:
    places = [(i / _SIDES, j / _SIDES) for i in range(_SIDES + 1) for j in range(_SIDES + 1 - i)]
    a_G, b_G = np.array(places).T
    return a_G, b_G


def _figure(kinds: list[str]) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    axes = {
        axis: {"title": {"text": safe(kind)}, "min": 0, "tickvals": [0.2, 0.4, 0.6, 0.8], "ticks": "outside"}
        for axis, kind in zip(("aaxis", "baxis", "caxis"), kinds, strict=True)
    }
    figure.update_layout(
        template="none",
        margin={"l": 40, "r": 40, "t": 40, "b": 40},
        legend={"orientation": "h", "x": 0, "y": 1.08, "yanchor": "bottom"},
        ternary={"sum": 1, **axes},
    )
    return figure


def _add(
    figure: go.Figure,
    a: list[float],
    b: list[float],
    values: list[float],
    ends: tuple[float, float],
    marker: dict[str, object],
    name: str,
    shown: str,
    texts: list[str] | None = None,
) -> None:
    bar = {"orientation": "h", "thickness": 10, "y": -0.14, "yanchor": "top", "len": 0.9}
    figure.add_scatterternary(
        a=a,
        b=b,
        c=[max(0.0, 1 - one - other) for one, other in zip(a, b, strict=True)],
        mode="markers",
        cliponaxis=False,
        name=name,
        text=texts,
        marker={
            "color": values,
            "colorscale": [list(stop) for stop in SEQUENTIAL],
            "cmin": ends[0],
            "cmax": ends[1],
            "colorbar": bar,
            **marker,
        },
        hovertemplate=shown + "<extra></extra>",
    )
