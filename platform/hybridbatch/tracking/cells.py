"""The mAP of every language setting as a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def cell_languages(cells: Mapping[str, float]) -> tuple[str, ...]:
    """Return the languages of ``cells``, whose keys are ``"en-de"``.

    A language code may itself hold hyphens (``zh-hans``): a language is what stands twice in a key with one hyphen
    between (``"zh-hans-zh-hans"``), or what a key with a single hyphen is made of.
    """
    languages: set[str] = set()
    for key in cells:
        half = len(key) // 2
        if len(key) % 2 and key[half] == "-" and key[:half] == key[half + 1 :]:
            languages.add(key[:half])
        elif key.count("-") == 1:
            languages.update(key.split("-"))
    return tuple(sorted(languages))


def cell_matrix(cells: Mapping[str, float]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the languages and the matrix of mAP, [L, L]: rows are languages of questions, columns of candidates.

    Settings without a question are NaN.
    """
    languages = cell_languages(cells)
    matrix_LL = np.array([[cells.get(f"{row}-{column}", np.nan) for column in languages] for row in languages])
    return languages, matrix_LL.astype(np.float64).reshape(len(languages), len(languages))
