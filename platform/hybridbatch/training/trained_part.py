"""What of an encoder a trial trains, and the way back to a whole encoder."""

from __future__ import annotations

import torch
from torch import nn

from hybridbatch.backbones.encoders.text_encoder import TextEncoder, check_states_again
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.experiment import Experiment, Training
from hybridbatch.training.adapters import Adapters, adapted_layers
from hybridbatch.training.arm import check_tokens_are_known
from hybridbatch.training.layers import check_layers, freeze
from hybridbatch.training.vocabulary import TrimmedVocabulary
from hybridbatch.training.workshop import Workshop


class TrainedPart:
    """Makes a new encoder into what is trained of it.

    Args:
        encoder: The encoder of a trial, changed in place.
        experiment: The experiment of the trial.
        workshop: What trials share.

    Raises:
        UserError: If the encoder or an arm does not go together with the settings.
    """

    def __init__(self, encoder: TextEncoder, experiment: Experiment, workshop: Workshop) -> None:
        check_tokens_are_known(experiment)
        self._encoder, settings = encoder, experiment.training
        self._adapters: Adapters | None = None
        self._vocabulary: TrimmedVocabulary | None = None
        freeze(encoder, settings)
        if settings.lora is not None:
            encoder.requires_grad_(False)
            torch.manual_seed(derive_seed(settings.seed, "adapters"))
            self._adapters = Adapters(encoder.body, settings.lora)
        if settings.trim_vocabulary:
            self._vocabulary = TrimmedVocabulary(encoder.body, workshop.token_ids(experiment))

    def ends(self) -> None:
        """Make the encoder compute, to the bit, what it will when it has been saved and read; it is trained no more."""
        if self._adapters is not None:
            self._adapters.merge()

    def whole(self) -> TextEncoder:
        """Return the encoder as it is to be saved, after :meth:`ends`."""
        if self._adapters is not None:
            self._adapters.remove()
        if self._vocabulary is not None:
            self._encoder.cpu()  # an accelerator may have no room for all rows
            self._vocabulary.restore()
        return self._encoder


def check_trained_part(body: nn.Module, settings: Training) -> None:
    """Check that an encoder has what is to be trained or left alone.

    Args:
        body: The transformer or LSTM; its weights need not be there.
        settings: What is trained.

    Raises:
        UserError: If it has fewer layers, or none that adapters go into, or cannot compute its states again.
    """
    check_layers(body, settings)
    if settings.gradient_checkpointing:
        check_states_again(body)
    if settings.lora is not None:
        adapted_layers(body, settings.lora)
