"""Multilingual BERT."""

from __future__ import annotations

from typing import ClassVar

from hybridbatch.backbones.huggingface import HuggingFaceBackbone
from hybridbatch.foundation.registries import BACKBONES


@BACKBONES.register("mbert")
class MBertBackbone(HuggingFaceBackbone):
    """Multilingual BERT, cased (arXiv 1810.04805): masked language modelling on Wikipedia in 104 languages.

    From https://huggingface.co/google-bert/bert-base-multilingual-cased (178M parameters), licence Apache-2.0. LAReQA
    (arXiv 2004.05484) fine-tunes it.
    """

    model_types: ClassVar[tuple[str, ...]] = ("bert",)

    name: str = "google-bert/bert-base-multilingual-cased"
