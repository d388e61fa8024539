"""Low-rank adapters (LoRA, arXiv 2106.09685) in a frozen transformer, through the library ``peft``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.adapters import Lora

# What makes queries and values of the attention: in BERT and XLM-R, mBART, DistilBERT, MPNet, DeBERTa.
_QUERY_AND_VALUE = (
    ("query", "value"), ("q_proj", "v_proj"), ("q_lin", "v_lin"), ("q", "v"), ("query_proj", "value_proj"),
)  # fmt: skip
_UNUSED = "pooler."  # of the transformer: no pooling here looks at it


class Adapters:
    """Puts adapters into a transformer, whose own weights are frozen.

    They begin at nothing: one of the two matrices is 0.

    Args:
        body: A transformer, changed in place.
        settings: Their settings.

    Raises:
        UserError: If the transformer has no such layers.
    """

    def __init__(self, body: nn.Module, settings: Lora) -> None:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel

        names = adapted_layers(body, settings)
        self._body, self._names = body, names
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,  # type: ignore[arg-type]  # any number will do
            lora_dropout=settings.dropout,
            target_modules=names,
            bias="none",
        )
        self._tuner = LoraModel(body, config, "default")

    @property
    def weights(self) -> nn.Module:
        """The two matrices of each adapter, which are all that asks for gradients."""
        around: list[Any] = [self._body.get_submodule(name) for name in self._names]
        return nn.ModuleList([part for one in around for part in (one.lora_A, one.lora_B)])

    def merge(self) -> None:
        """Add what was learnt to the weights of the transformer, which then computes as it will when it is saved."""
        self._tuner.merge_adapter()

    def remove(self) -> None:
        """Leave the transformer as it is when nobody knows of adapters; those that were merged stay in its weights."""
        self._tuner.unload()


def query_and_value(body: nn.Module) -> list[str]:
    """Return the names of the linear layers that make queries and values of the attention, none if none is known."""
    linear = _linear(body)
    for targets in _QUERY_AND_VALUE:
        found = _named(linear, targets)
        if all(found.values()):
            chosen = {name for names in found.values() for name in names}
            return [name for name in linear if name in chosen]
    return []


def adapted_layers(body: nn.Module, settings: Lora) -> list[str]:
    """Return the names of the linear layers that get adapters.

    Raises:
        UserError: If the transformer has no linear layers of the names asked for, or none that the defaults know.
    """
    linear = _linear(body)
    found = _named(linear, settings.targets or ())
    chosen = sorted({name for names in found.values() for name in names}) if settings.targets else query_and_value(body)
    if chosen and all(found.values()):
        return chosen
    known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
    kind = type(body).__name__
    if not linear:
        raise UserError(
            "this encoder has no layers that adapters go into",
            path="training.lora",
            seen=kind,
            allowed="null, or a transformer as backbone",
        )
    missing = [target for target, names in found.items() if not names] if settings.targets else None
    raise UserError(
        "the transformer has no linear layers of that name" if missing else "name the layers that adapters go into",
        path="training.lora.targets",
        seen=f"{', '.join(missing)} in {kind}" if missing else f"null with {kind}",
        allowed=known,
    )


def _linear(body: nn.Module) -> list[str]:
    return [name for name, one in body.named_modules() if isinstance(one, nn.Linear) and not name.startswith(_UNUSED)]


def _named(layers: Sequence[str], targets: Sequence[str]) -> dict[str, list[str]]:
    """Return for each target the layers whose names end with it."""
    return {target: [name for name in layers if f".{name}".endswith(f".{target}")] for target in targets}
