"""Any Hugging Face or sentence-transformers encoder, by name or folder.

The named backbones beside this file are this one with other defaults and the architecture that they have to be of.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hybridbatch.backbones.backbone import BackboneSettings, PretrainedPooling, TrainingText, Widths
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import BACKBONES

if TYPE_CHECKING:
    from torch import nn

    from hybridbatch.backbones.encoders.text_encoder import TextEncoder
    from hybridbatch.spec.sources import DataLocation


@BACKBONES.register("huggingface")
class HuggingFaceBackbone(BackboneSettings):
    """A pretrained encoder in the layout of Hugging Face or sentence-transformers.

    Attributes:
        name: Name on the hub (``FacebookAI/xlm-roberta-base``, ``sentence-transformers/LaBSE``) or a local folder;
            a relative one starts from the data folder.
        revision: Revision on the hub.
        pooling: How token states become one vector: over the tokens, or the transformer's own head over the first
            (``pooler``: tanh(W cls)). None takes what a sentence-transformers folder or a trial says, else the mean.
        dropout: Dropout everywhere in the transformer; None keeps the model's own.
        model_types: The architectures (``model_type`` in config.json) that the model may be of, any when empty; a fact
            of the class, no setting.
        unstated_pooling: The pooling where neither the settings nor the folder say one; a fact of the class.
    """

    random_weights: ClassVar[bool] = False
    model_types: ClassVar[tuple[str, ...]] = ()
    unstated_pooling: ClassVar[PretrainedPooling] = "mean"

    name: str
    revision: str | None = None
    pooling: PretrainedPooling | None = None
    dropout: float | None = None

    @property
    def model(self) -> str:
        """Name on the hub or folder of the model."""
        return self.name

    def tokenizer(self, text: TrainingText) -> Any:
        """Return the model's own tokenizer.

        Raises:
            UserError: If it cannot be loaded, or the model is of another architecture.
        """
        from hybridbatch.backbones.encoders.pretrained import check_model_type, load_tokenizer

        check_model_type(self.model, self.revision, self.model_types)
        return load_tokenizer(self.model, self.revision)

    def encoder(self, tokenizer: Any) -> TextEncoder:
        """Return the encoder with its pretrained weights.

        Raises:
            UserError: If it cannot be loaded, its embedding has fewer rows than the tokenizer has tokens, the model is
                of another architecture, or has no pooler where one is asked for.
        """
        from hybridbatch.backbones.encoders.pretrained import check_model_type, load_encoder

        check_model_type(self.model, self.revision, self.model_types)
        return load_encoder(
            self.model,
            self.revision,
            tokenizer,
            pooling=self.pooling,
            unstated_pooling=self.unstated_pooling,
            dropout=self.dropout,
        )

    def outline(self) -> nn.Module:
        """Return the transformer without weights.

        Raises:
            UserError: If there is no such model, or it is of another architecture.
        """
        from hybridbatch.backbones.encoders.pretrained import check_model_type, outline

        check_model_type(self.model, self.revision, self.model_types)
        return outline(self.model, self.revision)

    def check_weights(self) -> None:
        """Raise for weights that are no tensors alone.

        Raises:
            UserError: If there is no such model, or reading its weights could run code.
        """
        from hybridbatch.backbones.encoders.hub import check_pickled_weights

        check_pickled_weights(self.model, self.revision)

    def stated_widths(self) -> Widths:
        """Return the widths that the model's files state.

        Raises:
            UserError: If there is no such model.
        """
        from hybridbatch.backbones.encoders.hub import model_folder
        from hybridbatch.backbones.encoders.model_files import stated_widths

        return stated_widths(model_folder(self.model, self.revision))

    def transformer_folder(self) -> Path:
        """Return the folder with the pretrained transformer.

        Raises:
            UserError: If there is no such model.
        """
        from hybridbatch.backbones.encoders.hub import model_folder
        from hybridbatch.backbones.encoders.model_files import transformer_folder

        return transformer_folder(model_folder(self.model, self.revision))

    def located(self, location: DataLocation) -> HuggingFaceBackbone:
        """Return these settings with a model folder named by its whole path: workers have other current folders.

        Raises:
            UserError: If the folder lies below the current folder, but not below the data folder.
        """
        folder = location.resolve(self.model)
        if folder.is_dir():
            return self.model_copy(update={"name": str(folder.absolute())})
        if Path(self.model).is_dir():  # here perhaps, but not in the workers
            raise UserError(
                "a relative model folder starts from the data folder",
                path="backbone.name",
                seen=self.model,
                allowed=f"a folder below {location.root}, a whole path or a name on the hub",
            )
        return self

    def provenance(self) -> dict[str, str]:
        """Return the commit of a model on the hub, nothing for a local folder.

        Raises:
            UserError: If there is no such model.
        """
        from hybridbatch.backbones.encoders.hub import revision_in_use

        commit = revision_in_use(self.model, self.revision)
        return {"revision": commit} if commit else {}


class SizedBackbone(HuggingFaceBackbone):
    """A pretrained encoder that is published in several sizes.

    Attributes:
        name: Name on the hub, in which ``{size}`` stands for the size, or a local folder; a relative one starts from
            the data folder.
        size: Size of the published model; a folder has its own.
    """

    size: str

    @property
    def model(self) -> str:
        """Name on the hub or folder of the model."""
        return self.name.replace("{size}", self.size)


def from_folder_or_name(name: str) -> HuggingFaceBackbone:
    """Return the settings with which a model that somebody else trained is evaluated: its own prefixes and lengths.

    A trial's model and sentence-transformers models say them; for all others there are no prefixes.

    Raises:
        UserError: If there is no such model, or what it says of itself cannot be read.
    """
    from hybridbatch.backbones.encoders.hub import model_folder
    from hybridbatch.backbones.encoders.model_files import stated_settings

    return HuggingFaceBackbone(kind="huggingface", name=name, **stated_settings(model_folder(name, None)))
