"""Heat maps of the best trial: mAP of every pair of languages, for each report set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hybridbatch.report.figures.card import SEQUENTIAL, FigureCard, new_figure, safe
from hybridbatch.tracking.cells import cell_matrix

if TYPE_CHECKING:
    from hybridbatch.report.collect import StudyTable
    from hybridbatch.spec.trial import DatasetResult


def heat_map_cards(table: StudyTable) -> list[FigureCard]:
    """Return a heat map for each report set of the best trial."""
    if table.best is None:
        return []
    best = table.best
    return [_card(of_set, name, best.name) for name, of_set in best.result.report.items() if of_set.cells]


def _card(of_set: DatasetResult, dataset: str, trial: str) -> FigureCard:
    languages, matrix_LL = cell_matrix(of_set.cells)
    percent_LL = [[None if np.isnan(value) else round(100 * float(value), 1) for value in row] for row in matrix_LL]
    names = [safe(language) for language in languages]
    figure = new_figure("language of the candidates", "language of the questions")
    figure.add_heatmap(
        z=percent_LL,
        x=names,
        y=names,
        colorscale=[list(stop) for stop in SEQUENTIAL],
        zmin=0,
        texttemplate="%{z:.0f}",
        textfont={"size": 11},
        xgap=1.5,
        ygap=1.5,
        showscale=False,
        hovertemplate="question %{y}, candidate %{x}: mAP %{z:.1f} / 100<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, ticks="", zeroline=False)
    figure.update_xaxes(type="category", showgrid=False, ticks="", zeroline=False)
    caption = (
        f"Trial {trial} on {dataset}: mAP in percent for questions in the row's language against candidates in the "
        "column's. The diagonal is monolingual retrieval, everything else crosslingual; a row or column that is paler "
        "than the rest is a language that the model serves badly."
    )
    return FigureCard("The best trial, language by language", f"mAP on {dataset}", caption, figure, shape="square")
