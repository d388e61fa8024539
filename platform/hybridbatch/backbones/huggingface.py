"""Any Hugging Face or sentence-transformers encoder, by name or folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridbatch.backbones.backbone import BackboneSettings, PoolingName, TrainingText
from hybridbatch.foundation.registries import BACKBONES

if TYPE_CHECKING:
    from hybridbatch.backbones.encoders.text_encoder import TextEncoder


@BACKBONES.register("huggingface")
class HuggingFaceBackbone(BackboneSettings):
    """A pretrained encoder in the layout of Hugging Face or sentence-transformers.

    Attributes:
        name: Name on the hub (``FacebookAI/xlm-roberta-base``, ``sentence-transformers/LaBSE``) or a local folder.
        revision: Revision on the hub.
        pooling: How token states become one vector; None takes what a sentence-transformers folder says, else the mean.
        dropout: Dropout everywhere in the transformer; None keeps the model's own.
    """

    name: str
    revision: str | None = None
    pooling: PoolingName | None = None
    dropout: float | None = None

    def tokenizer(self, text: TrainingText) -> Any:
        """Return the model's own tokenizer.

        Raises:
            UserError: If it cannot be loaded.
        """
        from hybridbatch.backbones.encoders.pretrained import load_tokenizer

        return load_tokenizer(self.name, self.revision)

    def encoder(self, tokenizer: Any) -> TextEncoder:
        """Return the encoder with its pretrained weights.

        Raises:
            UserError: If it cannot be loaded, or its embedding has fewer rows than the tokenizer has tokens.
        """
        from hybridbatch.backbones.encoders.pretrained import load_encoder

        return load_encoder(self.name, self.revision, self.pooling, self.dropout, tokens=len(tokenizer))


def from_folder_or_name(name: str) -> HuggingFaceBackbone:
    """Return the settings with which a model that somebody else trained is evaluated: its own prefixes and lengths.

    A trial's model folder and sentence-transformers folders say them; for all others there are no prefixes.
    """
    from hybridbatch.backbones.encoders.pretrained import stated_settings

    return HuggingFaceBackbone(kind="huggingface", name=name, **stated_settings(Path(name).expanduser()))
