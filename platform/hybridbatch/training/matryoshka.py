"""Widths of Matryoshka embeddings (arXiv 2205.13147): which there can be."""

from __future__ import annotations

from collections.abc import Sequence

from hybridbatch.foundation.errors import ConflictError


def check_widths(widths: Sequence[int], width: int) -> None:
    """Raise unless the first numbers of an embedding of ``width`` can be taken at all ``widths``.

    Raises:
        ConflictError: If one is as wide as the whole embedding, which counts anyway, or wider.
    """
    if widths and max(widths) >= width:
        raise ConflictError(
            "the whole embedding is no wider than that, and counts anyway",
            path="loss.matryoshka",
            seen=list(widths),
            allowed=f"widths below {width}",
        )
