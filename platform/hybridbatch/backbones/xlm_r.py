"""XLM-R, by size."""

from __future__ import annotations

from typing import ClassVar, Literal

from hybridbatch.backbones.huggingface import SizedBackbone
from hybridbatch.foundation.registries import BACKBONES


@BACKBONES.register("xlm-r")
class XlmRBackbone(SizedBackbone):
    """XLM-R (arXiv 1911.02116): masked language modelling on CommonCrawl text in 100 languages, no retrieval yet.

    From https://huggingface.co/FacebookAI/xlm-roberta-base (278M parameters) and -large (560M), licence MIT.
    """

    model_types: ClassVar[tuple[str, ...]] = ("xlm-roberta",)

    name: str = "FacebookAI/xlm-roberta-{size}"
    size: Literal["base", "large"] = "base"
