"""The matrix of language settings, and its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trial_folders import dataset_result

from hybridbatch.tracking.cells import cell_matrix
from hybridbatch.tracking.heat_map import write_heat_map

if TYPE_CHECKING:
    from pathlib import Path

CODES = ("en", "de", "zh", "ar", "zh-hans", "zh-hant", "pt-br", "sr-latn-rs", "fil")


def test_rows_are_questions_and_columns_are_candidates() -> None:
    languages, matrix_LL = cell_matrix({"en-en": 0.9, "en-de": 0.5, "de-en": 0.4})
    assert languages == ("de", "en")
    np.testing.assert_array_equal(matrix_LL, [[np.nan, 0.4], [0.5, 0.9]])


@given(st.sets(st.sampled_from(CODES), min_size=1), st.randoms(use_true_random=False))
def test_every_cell_is_found_again(codes: set[str], random: np.random.Generator) -> None:
    cells = {f"{a}-{b}": float(random.random()) for a in codes for b in codes}
    languages, matrix_LL = cell_matrix(cells)
    assert languages == tuple(sorted(codes))
    found = {f"{a}-{b}": matrix_LL[i, j] for i, a in enumerate(languages) for j, b in enumerate(languages)}
    assert found == cells


@pytest.mark.parametrize("languages", [("en",), ("de", "en", "es", "hi", "ru", "tr"), ("en", "zh-hans")])
def test_the_picture_can_be_read_and_shows_the_cells(tmp_path: Path, languages: tuple[str, ...]) -> None:
    from PIL import Image

    write_heat_map(dataset_result(languages=languages), tmp_path / "map.png")

    with Image.open(tmp_path / "map.png") as picture:
        width, height = picture.size
        colours = picture.convert("RGB").getcolors(maxcolors=width * height)
    assert 200 < height < width < 1600
    assert colours is not None
    assert len(colours) > 50  # axes, letters and a colour scale, not an empty sheet


def test_missing_cells_and_chance_level_do_not_break_the_picture(tmp_path: Path) -> None:
    result = dataset_result(languages=("de", "en")).model_copy(update={"cells": {"de-de": 0.0, "de-en": 0.0}})
    write_heat_map(result, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 1000
