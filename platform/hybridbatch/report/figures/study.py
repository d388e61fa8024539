"""All figures of a study, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybridbatch.report.figures.curves import curve_cards
from hybridbatch.report.figures.effects import effect_cards
from hybridbatch.report.figures.heat_maps import heat_map_cards
from hybridbatch.report.figures.importance import importance_cards
from hybridbatch.report.figures.response import response_cards
from hybridbatch.report.figures.simplex import simplex_cards
from hybridbatch.report.figures.tradeoff import tradeoff_cards

if TYPE_CHECKING:
    from hybridbatch.report.collect import StudyTable
    from hybridbatch.report.effects import ArmEffects
    from hybridbatch.report.figures.card import FigureCard


def study_cards(table: StudyTable, effects: ArmEffects | None = None) -> list[FigureCard]:
    """Return every figure that the finished trials, and the effects of arms where they are known, allow."""
    return [
        *effect_cards(effects),
        *tradeoff_cards(table),
        *response_cards(table),
        *simplex_cards(table),
        *heat_map_cards(table),
        *importance_cards(table),
        *curve_cards(table),
    ]
