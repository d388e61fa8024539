"""A model that somebody trained, ready to encode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridbatch.backbones.backbone import TrainingText
from hybridbatch.backbones.huggingface import HuggingFaceBackbone, from_folder_or_name
from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    from hybridbatch.backbones.encoders.text_encoder import TextEncoder


@dataclass(frozen=True)
class LoadedModel:
    """An encoder with its tokenizer.

    Attributes:
        backbone: What the model states of itself: prefixes and lengths.
        tokenizer: Its Hugging Face tokenizer.
        encoder: Token ids and mask to embeddings of unit length.
        longest: Longest text in tokens that it has positions for; the longest that it states where it needs none.
    """

    backbone: HuggingFaceBackbone
    tokenizer: Any
    encoder: TextEncoder
    longest: int


def load_model(model: str) -> LoadedModel:
    """Return a model in the layout of Hugging Face, sentence-transformers or LASER.

    Args:
        model: Folder or hub name.

    Raises:
        UserError: If it cannot be loaded.
    """
    from hybridbatch.backbones.encoders.text_encoder import most_tokens

    backbone = from_folder_or_name(model)
    # a pretrained tokenizer is trained on nothing
    tokenizer = backbone.tokenizer(TrainingText("", lambda: (), Path()))
    encoder = backbone.encoder(tokenizer)
    longest = most_tokens(encoder.body)
    if longest is None:
        stated = max(backbone.question_tokens, backbone.passage_tokens)
        longest = getattr(encoder.body.config, "max_position_embeddings", stated)
    if longest < 1:
        raise UserError("the model states no positions", file=model, seen=longest)
    return LoadedModel(backbone, tokenizer, encoder, longest)
