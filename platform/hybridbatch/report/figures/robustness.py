"""Curves of measures against the strength of a perturbation, and what is lost by language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybridbatch.evaluation.perturbed_task import ALL
from hybridbatch.report.figures.card import BASELINES, SEARCHED, FigureCard, axis_name, new_figure, safe
from hybridbatch.report.figures.heat_map import question_heat_map
from hybridbatch.report.naming import measure_name

if TYPE_CHECKING:
    from hybridbatch.report.robustness import RobustnessTable

# Dark where much is lost, on white and on black.
_LOSS = ((0.0, "#f3f7ec"), (0.25, "#f6d9b0"), (0.5, "#e9a06b"), (0.75, "#c9574f"), (1.0, "#7b1f3a"))
_COLOURS = (SEARCHED, *BASELINES)
_RANGE = 60  # percent: a heat map is darkest from here on, and the same in every figure


def robustness_cards(table: RobustnessTable, kind: str) -> list[FigureCard]:
    """Return the figures of one perturbation: a curve for every measure, and what each model loses by language."""
    cards = [_curve(table, kind, measure) for measure in table.measures]
    if table.measures and len(table.languages) > 1:
        cards += [_loss_by_language(table, kind, model, table.measures[0]) for model in table.plan.models]
    return cards


def _curve(table: RobustnessTable, kind: str, measure: str) -> FigureCard:
    figure = new_figure("strength", axis_name(measure))
    seeds = len(table.plan.seeds)
    for index, model in enumerate(table.plan.models):
        points = [point for point in table.curve(model, kind) if measure in point.levels[ALL]]
        levels = [point.levels[ALL][measure] for point in points]
        colour = _COLOURS[index % len(_COLOURS)]
        figure.add_scatter(
            x=[point.strength for point in points],
            y=[level.value for level in levels],
            error_y={"type": "data", "array": [level.deviation or 0 for level in levels], "visible": seeds > 1},
            mode="lines+markers",
            name=safe(model),
            line={"color": colour, "width": 2.5},
            marker={"color": colour, "size": 7},
            text=[f"{level.drop:+.4f}" for level in levels],
            hovertemplate=f"{safe(model)}<br>strength %{{x}}: %{{y:.4f}} (%{{text}})<extra></extra>",
        )
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(range=[0, 1.04 * max(table.plan.strengths)])
    bars = f", bars are standard deviations over {seeds} seeds" if seeds > 1 else ""
    caption = f"{measure_name(measure)} of {table.first.dataset} against the strength of {kind}{bars}."
    return FigureCard(kind, measure_name(measure), caption, figure)


def _loss_by_language(table: RobustnessTable, kind: str, model: str, measure: str) -> FigureCard:
    points = [point for point in table.curve(model, kind) if point.perturbation]
    rows = []
    for language in table.languages:
        levels = [point.levels.get(language, {}).get(measure) for point in points]
        bare = [level.value - level.drop if level else 0.0 for level in levels]
        rows.append([-100 * one.drop / of if one and of else None for one, of in zip(levels, bare, strict=True)])
    figure = question_heat_map(
        rows,
        across="strength",
        columns=[f"{point.strength:g}" for point in points],
        questions=table.languages,
        colours=_LOSS,
        hover="%{y} at strength %{x}: %{z:.1f}% lost<extra></extra>",
        darkest=_RANGE,
    )
    caption = f"Percent of {measure_name(measure)} that questions in a language lose with {model}; negative: gained."
    return FigureCard(kind, f"Lost by language: {model}", caption, figure)
