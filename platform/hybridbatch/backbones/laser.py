"""LASER2, the multilingual sentence encoder without attention, from its published files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hybridbatch.backbones.backbone import BackboneSettings, TrainingText
from hybridbatch.foundation.registries import BACKBONES

if TYPE_CHECKING:
    from torch import nn

    from hybridbatch.backbones.encoders.text_encoder import TextEncoder
    from hybridbatch.spec.sources import DataLocation


@BACKBONES.register("laser")
class LaserBackbone(BackboneSettings):
    """LASER2 (arXiv 2205.12654): a bidirectional LSTM over SentencePiece pieces of 93 languages, pooled by maximum.

    Attributes:
        folder: Folder with the published ``laser2.pt`` and ``laser2.spm``, or the model folder of a LASER trial; a
            relative one starts from the data folder.
        dropout: Dropout between the layers of the LSTM; the published code has none.
    """

    random_weights: ClassVar[bool] = False

    folder: str
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def tokenizer(self, text: TrainingText) -> Any:
        """Return LASER2's own tokenizer.

        Raises:
            UserError: If it cannot be loaded.
        """
        from hybridbatch.backbones.encoders.laser_tokenizer import LaserTokenizer

        return LaserTokenizer.of_folder(self._checked_folder())

    def encoder(self, tokenizer: Any) -> TextEncoder:
        """Return the encoder with its pretrained weights.

        Raises:
            UserError: If it cannot be loaded.
        """
        from hybridbatch.backbones.encoders.laser_encoder import load_laser_encoder

        return load_laser_encoder(self._checked_folder(), None, self.dropout)

    def outline(self) -> nn.Module:
        """Return the LSTM without weights.

        Raises:
            UserError: If it cannot be loaded.
        """
        from hybridbatch.backbones.encoders.laser_encoder import laser_outline

        return laser_outline(self._checked_folder())

    def located(self, location: DataLocation) -> LaserBackbone:
        """Return these settings with the folder named by its whole path."""
        return self.model_copy(update={"folder": str(location.resolve(self.folder).absolute())})

    def _checked_folder(self) -> Path:
        from hybridbatch.backbones.encoders.laser_files import check_laser

        folder = Path(self.folder).expanduser()
        check_laser(folder)
        return folder
