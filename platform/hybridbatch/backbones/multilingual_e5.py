"""Multilingual E5, by size."""

from __future__ import annotations

from typing import ClassVar, Literal

from hybridbatch.backbones.huggingface import SizedBackbone
from hybridbatch.foundation.registries import BACKBONES


@BACKBONES.register("multilingual-e5")
class MultilingualE5Backbone(SizedBackbone):
    """Multilingual E5 (arXiv 2402.05672): XLM-R, or a small BERT, trained on a billion text pairs, then for retrieval.

    From https://huggingface.co/intfloat/multilingual-e5-small (118M parameters), -base (278M) and -large (560M),
    licence MIT. Mean pooling; it expects "query: " and "passage: " before its texts.
    """

    model_types: ClassVar[tuple[str, ...]] = ("xlm-roberta", "bert")

    name: str = "intfloat/multilingual-e5-{size}"
    size: Literal["small", "base", "large"] = "base"
    question_prefix: str = "query: "
    passage_prefix: str = "passage: "
