"""The encoder of mBART."""

from __future__ import annotations

from typing import ClassVar

from hybridbatch.backbones.huggingface import HuggingFaceBackbone
from hybridbatch.foundation.registries import BACKBONES


@BACKBONES.register("mbart")
class MBartBackbone(HuggingFaceBackbone):
    """The encoder of mBART-50 (arXiv 2008.00401): denoising of CommonCrawl text in 50 languages, made for translation.

    From https://huggingface.co/facebook/mbart-large-50 (408M parameters without the decoder, which is not loaded),
    licence MIT. Every text carries the code of its language; mean pooling passes over it. A language without a code is
    refused (there is none for Greek). ``name: facebook/mbart-large-cc25`` is the first mBART (arXiv 2001.08210), of 25
    languages, without Thai.
    """

    model_types: ClassVar[tuple[str, ...]] = ("mbart",)

    name: str = "facebook/mbart-large-50"
