"""Settings of low-rank adapters."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybridbatch.spec.settings import Settings


class Lora(Settings):
    """Low-rank adapters (LoRA, arXiv 2106.09685): a trained product of two thin matrices beside each frozen one.

    Attributes:
        rank: Rank of the product.
        alpha: The product counts ``alpha / rank`` times.
        dropout: Dropout before the product.
        targets: Names of the linear layers, or the last parts of their names; None for those that make queries and
            values of the attention, as in the paper.
    """

    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    targets: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
