"""Ranks of parallel passages that should agree, as a term of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import ARMS
from hybridbatch.training.arm import Arm, ArmContext, EmbeddingTerm

if TYPE_CHECKING:
    from hybridbatch.spec.experiment import Experiment
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.trial_data import TrialData


@ARMS.register("bias-penalty")
class BiasPenalty(Arm):
    """Ranks of an item's passages in two languages are made to agree: what rank distance measures, as a loss.

    Beside its own passage ``a`` each question of the batch gets its item's passage ``b`` in another language, drawn
    from (seed of the trial, step, item). Among all these passages both have a soft rank, a differentiable one (that of
    ApproxNDCG: Qin, Liu, Li, A general approximation framework for direct optimization of information retrieval
    measures, 2010), ``r = 1 + sum_j sigmoid((s_j - s) / softness)`` over the passages ``j`` of other items. The term is
    ``weight`` times the mean of ``|log r_a - log r_b|`` over the questions whose item has a further language.

    Attributes:
        weight: What the penalty is multiplied with; 0 encodes the further passages all the same.
        softness: Difference of cosine scores within which a passage stands neither clearly before nor behind another
            one.
    """

    description: ClassVar[str] = "A question's parallel passages are made to get the same rank."
    keeps_to_the_corpus: ClassVar[bool] = True  # further passages are those of the training sets

    weight: Annotated[float, Field(ge=0)] = 0.3
    softness: Annotated[float, Field(gt=0, le=2)] = 0.05

    def embedding_term(self, context: ArmContext) -> EmbeddingTerm:
        """Return the penalty."""
        from hybridbatch.training.rank_agreement import RankAgreement

        return RankAgreement(context, self.weight, self.softness)

    def check(self, experiment: Experiment, data: TrialData, location: DataLocation) -> None:
        """Raise unless some item has passages in two languages.

        Raises:
            UserError: If none has.
        """
        masks = (pairs.language_masks_I for pairs in data.train)
        if not any((masks_I & (masks_I - 1)).any() for masks_I in masks):  # two bits or more
            raise UserError(
                "no item of the training sets has passages in two languages",
                seen=", ".join(f"{pairs.name} in {' '.join(pairs.languages)}" for pairs in data.train),
                allowed="a training set of parallel pairs in at least two languages",
            )
