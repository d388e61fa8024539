"""LaBSE."""

from __future__ import annotations

from typing import ClassVar

from hybridbatch.backbones.backbone import PretrainedPooling
from hybridbatch.backbones.huggingface import HuggingFaceBackbone
from hybridbatch.foundation.registries import BACKBONES


@BACKBONES.register("labse")
class LabseBackbone(HuggingFaceBackbone):
    """LaBSE (arXiv 2007.01852): a dual encoder for translation retrieval in 109 languages; tanh(W cls) of unit length.

    From https://huggingface.co/sentence-transformers/LaBSE (471M parameters), licence Apache-2.0. A bare Hugging Face
    folder, such as setu4993/LaBSE, gives the same: there the head is BERT's pooler.

    Attributes:
        pooling: How token states become one vector: over the tokens, or the transformer's own head over the first
            (``pooler``: tanh(W cls)). None takes what a sentence-transformers folder or a trial says, else ``pooler``.
    """

    model_types: ClassVar[tuple[str, ...]] = ("bert",)
    unstated_pooling: ClassVar[PretrainedPooling] = "pooler"

    name: str = "sentence-transformers/LaBSE"
