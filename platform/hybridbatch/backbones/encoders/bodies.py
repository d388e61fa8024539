"""The transformer of a model, read and written in the layout of Hugging Face.

An encoder that has a decoder beside it is read without the decoder, which then takes no memory. It is written under the
names that it had in the whole model, with a configuration that has no decoder layers: transformers reads that too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from hybridbatch.backbones.encoders.hub import readable_loading_errors
from hybridbatch.backbones.encoders.model_files import has_old_weights
from hybridbatch.foundation.errors import UserError

# Architectures of an encoder and a decoder, by `model_type`, of which the encoder alone is used.
ENCODER_OF_TWO = ("mbart",)
_DROPOUTS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "activation_dropout",
)  # fmt: skip


def load_body(folder: Path, name: str, dropout: float | None) -> tuple[Any, bool]:
    """Return the transformer in ``folder`` with its weights, and whether they include those of its pooler.

    Args:
        folder: Where ``config.json`` and the weights lie.
        name: Name of the model, for messages.
        dropout: Overrides every dropout.

    Raises:
        UserError: If the weights cannot be loaded, are not complete, or belong to a decoder.
    """
    from transformers import AutoConfig, AutoModel

    with readable_loading_errors(name, "model"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        of_two = config.model_type in ENCODER_OF_TWO
        if getattr(config, "is_encoder_decoder", False) and not of_two:
            raise UserError(
                "this model is an encoder with a decoder",
                file=name,
                seen=config.model_type,
                allowed=f"an encoder; of those with a decoder {', '.join(ENCODER_OF_TWO)}, without it",
            )
        if of_two:
            config.decoder_layers = 0
        for key in _DROPOUTS:
            if dropout is not None and hasattr(config, key):
                setattr(config, key, dropout)
        whole, report = AutoModel.from_pretrained(
            folder,
            config=config,
            trust_remote_code=False,
            dtype=torch.float32,
            use_safetensors=not has_old_weights(folder),
            weights_only=True,  # of a pickle, tensors: what would run code is refused
            output_loading_info=True,
        )
        unused = ("pooler.", "decoder.") if of_two else ("pooler.",)
        missing = sorted(key for key in report["missing_keys"] if not key.startswith(unused))
        if missing:
            raise ValueError(f"the weights lack {len(missing)} tensors, such as {missing[0]}")
    has_pooler = not any(key.startswith("pooler.") for key in report["missing_keys"])
    return (whole.get_encoder() if of_two else whole), has_pooler


def body_outline(folder: Path, name: str) -> nn.Module:
    """Return the transformer in ``folder`` without weights; for the arguments see :func:`load_body`.

    Raises:
        UserError: If its configuration cannot be read.
    """
    from transformers import AutoConfig, AutoModel

    with readable_loading_errors(name, "model"), torch.device("meta"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        whole: Any = AutoModel.from_config(config, trust_remote_code=False)
    body: nn.Module = whole.get_encoder() if config.model_type in ENCODER_OF_TWO else whole
    return body


def save_body(body: Any, folder: Path) -> None:
    """Write a transformer so that :func:`load_body` reads it back."""
    if body.config.model_type in ENCODER_OF_TWO:
        weights = {f"encoder.{name}": tensor for name, tensor in body.state_dict().items()}
        body.save_pretrained(folder, state_dict=weights)
    else:
        body.save_pretrained(folder)


def pooler_layer(body: Any, has_weights: bool, name: str) -> nn.Module:
    """Return a transformer's own head, tanh(W cls + b), as a dense layer after ``cls`` pooling.

    It is a copy: training changes it, and leaves the head inside the transformer, which nothing uses, as it was.

    Args:
        body: The transformer.
        has_weights: Whether the head's weights were in the file; transformers fills up what is missing at random.
        name: Name of the model, for messages.

    Raises:
        UserError: If the model has no such head.
    """
    pooler = getattr(body, "pooler", None)
    linear, activation = getattr(pooler, "dense", None), getattr(pooler, "activation", None)
    if not has_weights or not isinstance(linear, nn.Linear) or not isinstance(activation, nn.Tanh):
        raise UserError(
            "the model has no pooler",
            file=name,
            path="backbone.pooling",
            seen=f"{type(body).__name__} {'without' if has_weights else 'whose weights lack'} pooler.dense, tanh",
            allowed="a model that was trained with one, such as setu4993/LaBSE",
            remedy="choose another pooling: mean, cls, max, last",
        )
    copied = nn.Linear(linear.in_features, linear.out_features)
    copied.load_state_dict(linear.state_dict())
    return nn.Sequential(copied, nn.Tanh())
