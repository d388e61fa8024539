"""What of an encoder a trial trains, and the way back to a whole encoder."""

from __future__ import annotations

from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.spec.experiment import Experiment
from hybridbatch.training.arm import check_tokens_are_known
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
        self._encoder, self.vocabulary = encoder, None
        if experiment.training.trim_vocabulary:
            self.vocabulary = TrimmedVocabulary(encoder.body, workshop.token_ids(experiment))

    def whole(self) -> TextEncoder:
        """Return the encoder as it is to be saved, on the CPU; it is trained no further."""
        if self.vocabulary is not None:
            self._encoder.cpu()
            self.vocabulary.restore()
            self.vocabulary = None
        return self._encoder
