"""Accuracy of probes by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybridbatch.report.figures.card import BASELINES, FRONT, SEARCHED, FigureCard, new_figure, safe

if TYPE_CHECKING:
    from hybridbatch.evaluation.probe_examples import ProbeSetting
    from hybridbatch.evaluation.probe_layers import Reading
    from hybridbatch.report.layer_probe import ProbeTable

_COLOURS = (SEARCHED, *BASELINES)


def probe_cards(table: ProbeTable) -> list[FigureCard]:
    """Return a figure for each setting and reading, with one curve a model."""
    return [_card(table, setting, reading) for setting in table.settings for reading in table.readings]


def _card(table: ProbeTable, setting: ProbeSetting, reading: Reading) -> FigureCard:
    figure = new_figure("layer", "accuracy")
    for index, model in enumerate(table.models):
        rows = table.of(model, setting, reading)
        colour, layers = _COLOURS[index % len(_COLOURS)], [row.layer for row in rows]
        figure.add_scatter(
            x=layers,
            y=[row.accuracy for row in rows],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [(row.accuracy if row.high is None else row.high) - row.accuracy for row in rows],
                "arrayminus": [row.accuracy - (row.accuracy if row.low is None else row.low) for row in rows],
            },
            mode="lines+markers",
            name=safe(model),
            line={"color": colour, "width": 2.5},
            marker={"color": colour, "size": 7},
            hovertemplate=f"{safe(model)}<br>layer %{{x}}: %{{y:.4f}}<extra></extra>",
        )
        if all(row.control is not None for row in rows):
            figure.add_scatter(
                x=layers,
                y=[row.control for row in rows],
                mode="lines",
                name=f"{safe(model)}: control",
                line={"color": colour, "width": 1.5, "dash": "dot"},
                hovertemplate=f"{safe(model)}, control<br>layer %{{x}}: %{{y:.4f}}<extra></extra>",
            )
    figure.add_hline(y=table.chance, line={"color": FRONT, "width": 1, "dash": "dash"})
    figure.update_yaxes(range=[0, 1.02])
    figure.update_xaxes(dtick=1)
    learnt = "nothing is learnt" if reading == "cosine" else "dotted: the control task"
    caption = (
        f"Share of questions for which the relevant one of {table.plan.settings.passages} passages is picked, "
        f"{setting}, with 95% intervals by item; dashed: chance; {learnt}. Layer 0 is the embedding output."
    )
    return FigureCard(setting, f"{setting}: {reading}", caption, figure)
