"""Low-rank adapters (LoRA, arXiv 2106.09685) in a frozen transformer, through the library ``peft``."""

from __future__ import annotations

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
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,  # type: ignore[arg-type]  # any number will do
            lora_dropout=settings.dropout,
            target_modules=names,
            bias="none",
        )
        self._tuner = LoraModel(body, config, "default")

    def merge(self) -> None:
        """Add what was learnt to the weights of the transformer, which then computes as it will when it is saved."""
        self._tuner.merge_adapter()

    def remove(self) -> None:
        """Leave the transformer as it is when nobody knows of adapters; those that were merged stay in its weights."""
        self._tuner.unload()


def adapted_layers(body: nn.Module, settings: Lora) -> list[str]:
    """Return the names of the linear layers that get adapters.

    Raises:
        UserError: If the transformer has no linear layers of the names asked for, or none that the defaults know.
    """
    linear = [name for name, one in body.named_modules() if isinstance(one, nn.Linear) and not name.startswith(_UNUSED)]
    for targets in (settings.targets,) if settings.targets else _QUERY_AND_VALUE:
        found = {target: [name for name in linear if f".{name}".endswith(f".{target}")] for target in targets}
        if all(found.values()):
            return sorted({name for names in found.values() for name in names})
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
