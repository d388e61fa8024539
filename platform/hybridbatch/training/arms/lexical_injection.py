"""lexical-injection: translations of words are brought together in an early layer, before fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field

from hybridbatch.augmentation.dictionary import PIVOT
from hybridbatch.backbones.backbone import BackboneSettings
from hybridbatch.datasets.unchanged_files import unchanged_fingerprint
from hybridbatch.foundation.registries import ARMS
from hybridbatch.spec.sources import Languages
from hybridbatch.training.arm import Arm, ArmContext, Stage

if TYPE_CHECKING:
    from hybridbatch.spec.experiment import Experiment
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.trial_data import TrialData

Count = Annotated[int, Field(ge=1)]


@ARMS.register("lexical-injection")
class LexicalInjection(Arm):
    """Targeted lexical injection (TLI, arXiv 2506.15415): LoRA in the layers up to one, trained on word pairs.

    The mean states of a word and its translation in that layer are brought together; what LoRA (arXiv 2106.09685)
    learnt is then added to the weights, so that nothing of it is left.

    Attributes:
        dictionary: Parquet file with the columns english, language, word, source; absolute or below the data folder.
        languages: Languages of the translations; None takes all that the dictionary has.
        pairs: Most word pairs to train on, in each language.
        held_out: Word pairs held out in each language, on which the layer is chosen; of few words a tenth.
        layer: The layer, from 1; None takes the one in which held-out translations are nearest to each other compared
            with other words.
        rank: Rank of LoRA.
        alpha: What LoRA counts, divided by its rank.
        dropout: Dropout before LoRA.
        loss: ``triplet`` asks that a translation be nearer than other words by a margin, ``info-nce`` that it be chosen
            among them.
        margin: The margin of ``triplet``, of cosines.
        temperature: What cosines are divided by in ``info-nce``.
        steps: Optimizer steps.
        batch_size: Word pairs of a batch.
        learning_rate: Peak learning rate; it rises linearly, then falls linearly to 0.
        warmup: Share of the steps in which it rises.
        weight_decay: AdamW's decoupled weight decay.
    """

    description: ClassVar[str] = "Brings translations of words together in an early layer, through LoRA, first."
    stage_order: ClassVar[int] = 2
    keeps_to_the_corpus: ClassVar[bool] = True  # a stage is over before the vocabulary is trimmed

    dictionary: Annotated[str, Field(min_length=1)] = "dictionaries/english_to_many.parquet"
    languages: Languages | None = None
    pairs: Count = 623
    held_out: Annotated[int, Field(ge=2)] = 63
    layer: Count | None = None
    rank: Count = 16
    alpha: Count = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    loss: Literal["triplet", "info-nce"] = "triplet"
    margin: Annotated[float, Field(gt=0, le=2)] = 0.5
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.05
    steps: Count = 500
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-4
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.01

    def check(self, experiment: Experiment, data: TrialData, location: DataLocation) -> None:
        """Look whether the backbone has the layer and the attention, and the dictionary words enough.

        Raises:
            UserError: If not.
        """
        from hybridbatch.training.lexical_alignment import projections_up_to, words_of
        from hybridbatch.training.spoken_languages import check_spoken
        from hybridbatch.training.word_pairs import languages_of

        backbone = cast(BackboneSettings, experiment.backbone).located(location)
        projections_up_to(backbone.outline(), self.layer or 1)
        dictionary = location.resolve(self.dictionary)
        languages = languages_of(dictionary, self.languages)
        words_of(self, dictionary, languages, experiment.training.seed)
        check_spoken(backbone, location, {"languages": (PIVOT, *languages)})

    def provenance(self, location: DataLocation) -> dict[str, str]:
        """Return the fingerprint of the dictionary."""
        return {"dictionary": unchanged_fingerprint(location.resolve(self.dictionary), location.cache)}

    def stage(self, context: ArmContext) -> Stage:
        """Return the stage."""
        from hybridbatch.training.lexical_alignment import LexicalAlignment

        return LexicalAlignment(self, context)
