"""domain-adaptation: masked language modelling on text of the domain, before fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field

from hybridbatch.backbones.backbone import BackboneSettings, TrainingText
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import ARMS, DATASETS
from hybridbatch.spec.settings import ChosenFrom
from hybridbatch.spec.sources import SourceSettings
from hybridbatch.training.arm import Arm, ArmContext, Stage

if TYPE_CHECKING:
    from hybridbatch.spec.experiment import Experiment
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.trial_data import TrialData

Text = Annotated[SourceSettings, ChosenFrom(DATASETS, "dataset")]


@ARMS.register("domain-adaptation")
class DomainAdaptation(Arm):
    """Domain-adaptive pre-training (DAPT, arXiv 2004.10964): masked language modelling on unlabelled text.

    With ``objective: tlm`` a text and its translation are read together, so that a masked word can be found in the
    other language (translation language modelling, arXiv 1901.07291).

    Attributes:
        text: Data sets to read, without their labels. ``mlm`` reads all candidates of each, ``tlm`` the passages of
            training pairs or, in a data set that has none, its questions or sentences.
        objective: ``mlm`` reads each text by itself, ``tlm`` each item in two of its languages, drawn anew every time.
        steps: Optimizer steps.
        batch_size: Texts, or pairs of texts, of a batch.
        tokens: Longest text in tokens, or pair of texts (half of it each); longer ones are cut. None takes
            ``backbone.passage_tokens``.
        masking: Share of the tokens that are masked: of these 80% become the mask, 10% any token, 10% stay.
        learning_rate: Peak learning rate; it rises linearly, then falls linearly to 0.
        warmup: Share of the steps in which it rises.
        weight_decay: AdamW's decoupled weight decay.
    """

    description: ClassVar[str] = (
        "Masked language modelling on unlabelled text, or on text with its translations, first."
    )
    stage_order: ClassVar[int] = 1
    keeps_to_the_corpus: ClassVar[bool] = True  # a stage is over before the vocabulary is trimmed

    text: Annotated[tuple[Text, ...], Field(min_length=1)]
    objective: Literal["mlm", "tlm"] = "mlm"
    steps: Annotated[int, Field(ge=1)] = 12500
    batch_size: Annotated[int, Field(ge=1)] = 256
    tokens: Annotated[int, Field(ge=8)] | None = None
    masking: Annotated[float, Field(gt=0, le=0.9)] = 0.15
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.06
    weight_decay: Annotated[float, Field(ge=0)] = 0.01

    def check(self, experiment: Experiment, data: TrialData, location: DataLocation) -> None:
        """Load the text, and look for a mask token and for enough positions.

        Raises:
            UserError: If there is none, or a data set cannot be loaded.
        """
        from hybridbatch.backbones.encoders.text_encoder import most_tokens
        from hybridbatch.training.mask_token import mask_id
        from hybridbatch.training.spoken_languages import check_spoken
        from hybridbatch.training.unlabelled_text import check_batch, texts_in

        backbone = cast(BackboneSettings, experiment.backbone).located(location)
        if not backbone.random_weights:
            text = TrainingText(fingerprint="", texts=tuple, cache=location.cache)  # needs no text
            mask_id(backbone.tokenizer(text), trained_here=False)
        most = most_tokens(backbone.outline())
        if self.tokens is not None and most is not None and self.tokens > most:
            raise too_few_positions(self.tokens, most)
        texts = texts_in(self.text, location, parallel=self.objective == "tlm")
        check_batch(self.batch_size, texts, parallel=self.objective == "tlm")
        check_spoken(backbone, location, {f"text.{index}": text.languages for index, text in enumerate(texts)})

    def provenance(self, location: DataLocation) -> dict[str, str]:
        """Return the fingerprint of each text."""
        from hybridbatch.training.unlabelled_text import texts_in

        texts = texts_in(self.text, location, parallel=self.objective == "tlm")
        return {f"text.{index}": text.fingerprint for index, text in enumerate(texts)}

    def stage(self, context: ArmContext) -> Stage:
        """Return the stage."""
        from hybridbatch.training.text_adaptation import TextAdaptation

        return TextAdaptation(self, context)


def too_few_positions(tokens: int, most: int) -> UserError:
    """Return the error for texts that are longer than a model has positions."""
    return UserError(
        "the model has fewer positions than that",
        path="tokens",
        seen=tokens,
        allowed=f"at most {most}; backbone `scratch` has as many as backbone.passage_tokens says",
    )
