"""optical: a student learns the token states of a frozen teacher through translations (OPTICAL)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from hybridbatch.foundation.registries import ARMS, DATASETS
from hybridbatch.spec.settings import ChosenFrom
from hybridbatch.spec.sources import SourceSettings
from hybridbatch.training.arm import Arm, ArmContext, StateTerm

if TYPE_CHECKING:
    from torch import nn

    from hybridbatch.spec.experiment import Experiment
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.trial_data import TrialData


@ARMS.register("optical")
class OptimalTransportDistillation(Arm):
    """Optimal-transport distillation from bitext (OPTICAL, arXiv 2301.12566).

    A frozen teacher encodes a sentence in the pivot language, the trained encoder its translation. What it costs to
    move the token states of the one to those of the other, ``<plan, costs>`` with costs 1 - cosine and an entropic plan
    between uniform masses, is added to the loss as the mean over a batch of bitext of its own.

    Attributes:
        bitext: Parallel text: any data set whose items stand in several languages, of which sentences, questions or
            queries are taken.
        pivot: The language that the teacher reads; every other language of the bitext is paired with it.
        teacher: Folder (a relative one starts from the data folder) or name on the hub of the teacher, whose states
            have the width of the backbone's; it keeps its own tokenizer, prefixes and lengths. None is the trial's own
            encoder as it was before training.
        weight: What the term is multiplied by.
        batch_size: Pairs of sentences in a step, over all workers; an epoch visits each pair once.
        encode_as: Whose prefix and length sentences get.
        epsilon: Weight of the entropy of a plan, in units of the costs (0 to 2): the smaller, the nearer to a
            matching of tokens.
        iterations: Sinkhorn iterations; a smaller ``epsilon`` needs more.
    """

    description: ClassVar[str] = "Distil a frozen teacher's token states through translations (bitext)."

    bitext: Annotated[SourceSettings, ChosenFrom(DATASETS, "dataset")]
    pivot: Annotated[str, Field(min_length=1)] = "en"
    teacher: Annotated[str, Field(min_length=1)] | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Annotated[int, Field(ge=1)] = 32
    encode_as: Literal["questions", "passages"] = "passages"
    epsilon: Annotated[float, Field(ge=1e-4, le=10)] = 0.05
    iterations: Annotated[int, Field(ge=1)] = 50

    def check(self, experiment: Experiment, data: TrialData, location: DataLocation) -> None:
        """Raise unless the bitext fills batches and stands in no report set, and the teacher is there and fits.

        Raises:
            UserError: If not.
        """
        from hybridbatch.training.transport_distillation import check_distillation

        check_distillation(self, experiment, data, location)

    def provenance(self, location: DataLocation) -> dict[str, str]:
        """Return the fingerprint of the bitext, and the commit of a teacher on the hub."""
        from hybridbatch.training.bitext import bitext_fingerprint
        from hybridbatch.training.teacher import commit_of_teacher

        bitext = {"bitext": bitext_fingerprint(self.bitext, location)}
        return {**bitext, **(commit_of_teacher(self.teacher, location) if self.teacher else {})}

    def state_term(self, context: ArmContext, encoder: nn.Module) -> StateTerm:
        """Return the term.

        Raises:
            UserError: If bitext or teacher cannot be loaded, or do not fit the trial.
        """
        from hybridbatch.training.transport_distillation import transport_distillation

        return transport_distillation(self, context, encoder)
