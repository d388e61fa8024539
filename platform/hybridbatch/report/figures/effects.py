"""What each language and each pair of languages gains or loses by an arm, against the control."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Literal

from hybridbatch.report.figures.card import BASELINES, FigureCard, axis_name, new_figure, safe
from hybridbatch.report.figures.heat_map import question_heat_map
from hybridbatch.report.naming import counted, measure_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from hybridbatch.report.effects import ArmEffects
    from hybridbatch.report.run_comparison import RunDifference

SECTION = "What each language gains or loses"
MOST_ARMS = 6  # of more of them figures show the first; the table and the JSON have all
DIVERGING = ((0.0, "#b0613a"), (0.25, "#e3b08f"), (0.5, "#f4f4f1"), (0.75, "#8fb8d8"), (1.0, "#2b6ca3"))


def effect_cards(effects: ArmEffects | None) -> list[FigureCard]:
    """Return a figure of each measure by language and, of each arm, one of every pair of languages, by report set."""
    if effects is None:
        return []
    cards = [_by_language(effects, list(members)) for _, members in groupby(_ordered(effects), key=_figure)]
    for dataset in effects.datasets:
        for arm in effects.arms[:MOST_ARMS]:
            crossed = [one for one in effects.pairs if one.measure == "map_cross"]
            own = [one for one in effects.languages if one.measure == "map_mono"]
            inside = [one for one in (*crossed, *own) if (one.dataset, one.first) == (dataset, arm)]
            if any(one.measure == "map_cross" for one in inside):
                cards.append(_by_pair(effects, inside, arm, dataset))
    return cards


def _ordered(effects: ArmEffects) -> list[RunDifference]:
    order = {measure: place for place, measure in enumerate(effects.settings.measures)}
    shown = (one for one in effects.languages if one.first in effects.arms[:MOST_ARMS])
    return sorted(shown, key=lambda one: (str(one.dataset), order[one.measure], effects.arms.index(one.first)))


def _figure(one: RunDifference) -> tuple[str, str]:
    return str(one.dataset), one.measure


def _by_language(effects: ArmEffects, members: Sequence[RunDifference]) -> FigureCard:
    one = members[0]
    figure = new_figure(f"{axis_name(one.measure)}, arm less {safe(effects.control)}", "")
    languages = sorted({str(member.place) for member in members}, reverse=True)  # the first one on top
    arms = [arm for arm in effects.arms if any(member.first == arm for member in members)]
    for arm in arms:
        _add_arm(figure, [member for member in members if member.first == arm], BASELINES[effects.arms.index(arm)])
    figure.add_vline(x=0, line={"width": 1, "dash": "dot", "color": "#98a2ad"})
    figure.update_layout(scattermode="group", scattergap=0.35)
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=languages)
    held = sum(member.holds for member in members)
    caption = (
        f"Difference of each arm to {effects.control} on {one.dataset}, by language of the question; "
        f"{_runs(members)}, {counted(one.items, 'parallel question')}. Bars: {_interval(effects, members)}, each by "
        f"itself. Filled: the difference holds after Holm's correction over all {len(effects.languages)} of single "
        f"languages ({held} here)." + _left_out(effects)
    )
    title = f"{measure_name(one.measure)} on {one.dataset}"
    shape: Literal["tall", "normal"] = "tall" if len(arms) * len(languages) > 16 else "normal"
    return FigureCard(SECTION, title, caption, figure, shape=shape)


def _add_arm(figure: go.Figure, members: Sequence[RunDifference], colour: str) -> None:
    ends = [(one, one.low, one.high) if one.low is not None and one.high is not None else None for one in members]
    hints = [f"{end[1]:+.4g} to {end[2]:+.4g}" if end else "no interval" for end in ends]
    figure.add_scatter(
        x=[one.difference for one in members],
        y=[str(one.place) for one in members],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [end[2] - end[0].difference if end else 0.0 for end in ends],
            "arrayminus": [end[0].difference - end[1] if end else 0.0 for end in ends],
            "color": colour,
            "thickness": 1.5,
            "width": 3,
        },
        mode="markers",
        orientation="h",
        name=safe(members[0].first),
        offsetgroup=members[0].first,
        marker={"color": colour, "size": 8, "symbol": ["circle" if one.holds else "circle-open" for one in members]},
        text=[f"{hint}, p {one.p:.2g}, Holm {one.p_holm:.2g}" for hint, one in zip(hints, members, strict=True)],
        hovertemplate="%{y}: %{x:+.4g}<br>%{text}<extra>%{fullData.name}</extra>",
    )


def _by_pair(effects: ArmEffects, members: Sequence[RunDifference], arm: str, dataset: str | None) -> FigureCard:
    by_pair = {one.place if "-" in str(one.place) else f"{one.place}-{one.place}": one for one in members}
    pairs = {place: tuple(str(place).split("-", 1)) for place in by_pair if _is_pair(str(place))}
    questions = sorted({question for question, _ in pairs.values()})
    answers = sorted({answer for _, answer in pairs.values()})
    grid = [[by_pair.get(f"{question}-{answer}") for answer in answers] for question in questions]
    values = [[None if one is None else round(100 * one.difference, 2) for one in row] for row in grid]
    figure = question_heat_map(
        values,
        across="language of the candidates",
        columns=answers,
        questions=questions,
        colours=DIVERGING,
        hover="question %{y}, candidate %{x}: %{z:+.1f} points<br>%{customdata}<extra></extra>",
        darkest=max((abs(value) for row in values for value in row if value is not None), default=1.0) or 1.0,
    )
    figure.update_traces(
        zmin=-figure.data[0].zmax,
        texttemplate="%{text}",
        text=[["" if one is None else f"{100 * one.difference:+.0f}{'*' * one.holds}" for one in row] for row in grid],
        customdata=[["" if one is None else _hint(one) for one in row] for row in grid],
    )
    held = sum(one.holds for one in members)
    caption = (
        f"{arm} less {effects.control} on {dataset}: difference of mAP in percentage points for questions in the row's "
        f"language against candidates in the column's (diagonal: its own); {_runs(members)}, "
        f"{counted(max(one.items for one in members), 'parallel question')}. * holds after Holm's correction over all "
        f"{len(effects.pairs)} pairs, on the diagonal over all {len(effects.languages)} of single languages ({held} "
        f"here). Point at a cell for its interval ({_interval(effects, members)})." + _left_out(effects)
    )
    return FigureCard(SECTION, f"{arm}: every pair of languages on {dataset}", caption, figure, shape="square")


def _is_pair(place: str) -> bool:
    """Return whether a place is a pair of two languages whose names hold no dash themselves."""
    return place.count("-") == 1


def _hint(one: RunDifference) -> str:
    interval = (
        "no interval" if one.low is None or one.high is None else f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"
    )
    return f"{interval}, p {one.p:.2g}, Holm {one.p_holm:.2g}"


def _runs(members: Sequence[RunDifference]) -> str:
    counts = sorted({number for one in members for number in one.seeds})
    return f"means over {counted(counts[0], 'seed')} each" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def _interval(effects: ArmEffects, members: Sequence[RunDifference]) -> str:
    level = f"{100 * (1 - effects.settings.alpha):.4g}%"
    if any(one.test == "two-level" for one in members):
        return f"{level} intervals over seeds and questions (two-level, Student's t)"
    return f"{level} intervals over questions (paired bootstrap): other seeds may differ"


def _left_out(effects: ArmEffects) -> str:
    more = len(effects.arms) - MOST_ARMS
    return f" {counted(more, 'further arm')} of the study: in the table and in `compare --json`." if more > 0 else ""
