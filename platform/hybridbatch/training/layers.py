"""Which layer of an encoder each of its parameters belongs to, and freezing the lowest ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.foundation.errors import ConflictError, UserError
from hybridbatch.spec.experiment import Training


@dataclass(frozen=True)
class Layers:
    """The layers of a transformer or an LSTM.

    Attributes:
        count: How many there are.
        number: Finds the number of the layer, from 0, in the name of a parameter of the body.
    """

    count: int
    number: re.Pattern[str]

    def depth(self, name: str) -> int:
        """Return where a parameter is: 0 for embeddings, from 1 on the number of its layer, ``count`` + 1 for the rest.

        Args:
            name: Its name in a :class:`~hybridbatch.backbones.encoders.text_encoder.TextEncoder`.
        """
        in_body = name.removeprefix("body.")
        found = self.number.match(in_body)
        if found:
            return int(found[1]) + 1
        return 0 if in_body != name and "embed" in in_body else self.count + 1


def layers_of(body: nn.Module) -> Layers:
    """Return the layers of a transformer (its outermost list of modules) or an LSTM.

    Raises:
        UserError: If it has neither.
    """
    lists = [(name, len(one)) for name, one in body.named_modules() if isinstance(one, nn.ModuleList)]
    if lists:
        name, count = min(lists, key=lambda one: one[0].count("."))
        return Layers(count, re.compile(rf"{re.escape(name)}\.(\d+)\."))
    for name, one in body.named_modules():
        if isinstance(one, nn.LSTM):
            return Layers(one.num_layers, re.compile(rf"{re.escape(name)}\.\w+_l(\d+)(?:_reverse)?$"))
    raise UserError(
        "the layers of this encoder cannot be told apart",
        path="training",
        seen=type(body).__name__,
        allowed="freeze_layers 0, freeze_embeddings false, layer_decay 1.0",
    )


def check_layers(body: nn.Module, settings: Training) -> None:
    """Check that an encoder has the layers that ``settings`` speak of.

    Raises:
        UserError: If it has fewer, or its layers cannot be told apart.
    """
    if settings.freeze_layers or settings.freeze_embeddings or settings.layer_decay != 1:
        count = layers_of(body).count
        if settings.freeze_layers > count:
            raise UserError(
                "the encoder has fewer layers than that",
                path="training.freeze_layers",
                seen=settings.freeze_layers,
                allowed=f"0 to {count}",
            )


def freeze(encoder: TextEncoder, settings: Training) -> None:
    """Leave the embeddings, or the lowest layers, or both out of training.

    Raises:
        UserError: If the encoder has fewer layers.
        ConflictError: If nothing is left to train.
    """
    check_layers(encoder.body, settings)
    if not (settings.freeze_layers or settings.freeze_embeddings):
        return
    layers = layers_of(encoder.body)
    for name, parameter in encoder.named_parameters():
        depth = layers.depth(name)
        if 1 <= depth <= settings.freeze_layers or (depth == 0 and settings.freeze_embeddings):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in encoder.parameters()):
        raise ConflictError(
            "nothing of the encoder is left to train",
            path="training.freeze_layers",
            seen=f"{settings.freeze_layers}, with freeze_embeddings true",
            allowed=f"0 to {layers.count - 1}",
        )
