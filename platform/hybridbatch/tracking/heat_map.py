"""Picture of the mAP of every language setting: questions' language down, candidates' language across."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hybridbatch.tracking.cells import cell_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from hybridbatch.spec.trial import DatasetResult

# Margins in inches, set by hand: matplotlib's layout engines draw everything twice, and this runs beside training.
_LEFT, _RIGHT, _BELOW, _ABOVE = 0.85, 1.05, 0.65, 0.45
_DARK_CELL = 0.55  # above this share of the colour scale the ink on a cell is white


def write_heat_map(result: DatasetResult, path: Path, title: str = "") -> None:
    """Write the heat map of one data set as a PNG file.

    Drawn on a figure of its own with the Agg canvas: no pyplot, whose state is global and not safe in a thread.

    Args:
        result: The measures of the data set.
        path: The PNG file to write.
        title: What stands above the picture; the name of the data set when empty.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    languages, matrix_LL = cell_matrix(result.cells)
    side = 0.46 * max(len(languages), 4)  # inches
    width, height = _LEFT + side + _RIGHT, _BELOW + side + _ABOVE
    figure = Figure(figsize=(width, height), dpi=110)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((_LEFT / width, _BELOW / height, side / width, side / height))
    image = axes.imshow(np.ma.masked_invalid(matrix_LL), cmap="YlGnBu", vmin=0.0, vmax=_top(matrix_LL))
    axes.set_xticks(range(len(languages)), languages)
    axes.set_yticks(range(len(languages)), languages)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("language of the candidates")
    axes.set_ylabel("language of the questions")
    axes.set_title(title or f"mAP on {result.dataset}", fontsize=11, loc="left")
    for row, column in zip(*np.nonzero(np.isfinite(matrix_LL)), strict=True):
        value = float(matrix_LL[row, column])
        ink = "white" if value > _DARK_CELL * _top(matrix_LL) else "#22313f"
        axes.text(column, row, f"{value:.2f}".removeprefix("0"), ha="center", va="center", fontsize=8, color=ink)
    scale = figure.add_axes(((_LEFT + side + 0.2) / width, _BELOW / height, 0.16 / width, side / height))
    figure.colorbar(image, cax=scale, label="mAP").outline.set_visible(False)
    canvas.print_png(path)


def _top(matrix_LL: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Return the upper end of the colour scale: the largest cell, so that weak models still show their pattern."""
    finite = matrix_LL[np.isfinite(matrix_LL)]
    return max(float(finite.max()), 1e-9) if finite.size else 1.0
