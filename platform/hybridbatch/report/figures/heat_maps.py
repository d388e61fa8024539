"""Heat maps of the best trial: mAP and language of the best answer by pair of languages, for each report set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hybridbatch.report.figures.card import SEQUENTIAL, FigureCard
from hybridbatch.report.figures.heat_map import question_heat_map
from hybridbatch.tracking.cells import cell_matrix

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from hybridbatch.report.collect import StudyTable
    from hybridbatch.spec.trial import DatasetResult


_SECTION = "The best trial, language by language"


def heat_map_cards(table: StudyTable) -> list[FigureCard]:
    """Return for each report set of the best trial a heat map of mAP, and one of the languages of best answers."""
    if table.best is None:
        return []
    cards = []
    for name, of_set in table.best.result.report.items():
        if of_set.cells:
            cards.append(_precision(of_set, name, table.best.name))
        if of_set.answer_languages:
            cards.append(_best_answers(of_set, name, table.best.name))
    return cards


def _precision(of_set: DatasetResult, dataset: str, trial: str) -> FigureCard:
    languages, matrix_LL = cell_matrix(of_set.cells)
    hover = "question %{y}, candidate %{x}: mAP %{z:.1f} / 100<extra></extra>"
    figure = _heat_map(matrix_LL, languages, languages, "language of the candidates", hover)
    caption = (
        f"Trial {trial} on {dataset}: mAP in percent for questions in the row's language against candidates in the "
        "column's. The diagonal is monolingual retrieval, everything else crosslingual; a row or column that is paler "
        "than the rest is a language that the model serves badly."
    )
    return FigureCard(_SECTION, f"mAP on {dataset}", caption, figure, shape="square")


def _best_answers(of_set: DatasetResult, dataset: str, trial: str) -> FigureCard:
    shares = of_set.answer_languages
    questions = tuple(sorted(shares))
    answers = tuple(sorted({answer for of_question in shares.values() for answer in of_question}))
    matrix_LL = np.array([[shares[row].get(column, np.nan) for column in answers] for row in questions])
    hover = "question %{y}: best answer in %{x} for %{z:.1f}%<extra></extra>"
    figure = _heat_map(matrix_LL, questions, answers, "language of the best answer", hover)
    caption = (
        f"Trial {trial} on {dataset}, all candidates in one pool: for questions in the row's language, the percentage "
        "whose best-ranked answer is in the column's. Without language bias a row is even; a dark diagonal is a model "
        "that prefers the question's own language, a dark column one that prefers that language whatever is asked."
    )
    return FigureCard(_SECTION, f"Language of the best answer on {dataset}", caption, figure, shape="square")


def _heat_map(
    matrix_LL: NDArray[np.float64], rows: tuple[str, ...], columns: tuple[str, ...], across: str, hover: str
) -> go.Figure:
    percent_LL = [[None if np.isnan(value) else round(100 * float(value), 1) for value in row] for row in matrix_LL]
    return question_heat_map(
        percent_LL, across=across, columns=columns, questions=rows, colours=SEQUENTIAL, hover=hover
    )
