"""Any Hugging Face or sentence-transformers encoder, by name or folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hybridbatch.backbones.backbone import BackboneSettings, PoolingName, TrainingText
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import BACKBONES

if TYPE_CHECKING:
    from hybridbatch.backbones.encoders.text_encoder import TextEncoder
    from hybridbatch.spec.sources import DataLocation


@BACKBONES.register("huggingface")
class HuggingFaceBackbone(BackboneSettings):
    """A pretrained encoder in the layout of Hugging Face or sentence-transformers.

    Attributes:
        name: Name on the hub (``FacebookAI/xlm-roberta-base``, ``sentence-transformers/LaBSE``) or a local folder;
            a relative one starts from the data folder.
        revision: Revision on the hub.
        pooling: How token states become one vector; None takes what a sentence-transformers folder says, else the mean.
        dropout: Dropout everywhere in the transformer; None keeps the model's own.
    """

    random_weights: ClassVar[bool] = False

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

    def located(self, location: DataLocation) -> HuggingFaceBackbone:
        """Return these settings with a model folder named by its whole path: workers have other current folders.

        Raises:
            UserError: If the folder lies below the current folder, but not below the data folder.
        """
        folder = location.resolve(self.name)
        if folder.is_dir():
            return self.model_copy(update={"name": str(folder.absolute())})
        if Path(self.name).is_dir():  # here perhaps, but not in the workers
            raise UserError(
                "a relative model folder starts from the data folder",
                path="backbone.name",
                seen=self.name,
                allowed=f"a folder below {location.root}, a whole path or a name on the hub",
            )
        return self

    def provenance(self) -> dict[str, str]:
        """Return the commit of a model on the hub, nothing for a local folder.

        Raises:
            UserError: If there is no such model.
        """
        from hybridbatch.backbones.encoders.hub import revision_in_use

        commit = revision_in_use(self.name, self.revision)
        return {"revision": commit} if commit else {}


def from_folder_or_name(name: str) -> HuggingFaceBackbone:
    """Return the settings with which a model that somebody else trained is evaluated: its own prefixes and lengths.

    A trial's model and sentence-transformers models say them; for all others there are no prefixes.

    Raises:
        UserError: If there is no such model, or what it says of itself cannot be read.
    """
    from hybridbatch.backbones.encoders.hub import model_folder
    from hybridbatch.backbones.encoders.model_files import stated_settings

    return HuggingFaceBackbone(kind="huggingface", name=name, **stated_settings(model_folder(name, None)))
