"""A teacher's embeddings as targets of training texts.

Source: Reimers, Gurevych, Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation,
arXiv 2004.09813.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field

from hybridbatch.backbones.backbone import BackboneSettings
from hybridbatch.foundation.errors import ConflictError, UserError, one_of
from hybridbatch.foundation.registries import ARMS
from hybridbatch.training.arm import Arm, ArmContext, EmbeddingTerm

if TYPE_CHECKING:
    from hybridbatch.spec.experiment import Experiment
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.trial_data import TrialData


@ARMS.register("distillation")
class Distillation(Arm):
    """A text is drawn to what a teacher makes of its item's text in a pivot language (arXiv 2004.09813).

    The teacher encodes the training texts once; its embeddings lie in the cache, mapped into memory and shared by the
    trials and workers of a machine. With ``embeddings`` the term is the mean of ``|student(x) - teacher(pivot(x))|^2``
    over questions and passages: embeddings have unit length, so that this is ``2 - 2 cos`` and the paper's squared
    error but for a factor. With ``scores`` it is the mean over questions of ``KL(teacher || student)`` between the
    distributions over the batch's passages, ``softmax(scores / temperature)``. Texts whose item does not exist in the
    pivot language add nothing.

    Attributes:
        teacher: Folder of a model, absolute or below the data folder, or its name on the hub; prefixes and lengths are
            those that it states.
        weight: What the term is multiplied with.
        pivot: The language that the teacher is good at, one of the training sets' languages; None lets it encode every
            text as it is.
        targets: ``embeddings`` of the teacher, which must be as wide as the student's, or its ``scores`` of the batch.
        temperature: What scores are divided by, with ``scores``; None takes ``loss.temperature``.
    """

    description: ClassVar[str] = "Texts are drawn to what a teacher makes of them, or of their translation."
    keeps_to_the_corpus: ClassVar[bool] = True  # the student reads its own texts, the teacher has its own vocabulary

    teacher: Annotated[str, Field(min_length=1)]
    weight: Annotated[float, Field(ge=0)] = 10.0
    pivot: str | None = None
    targets: Literal["embeddings", "scores"] = "embeddings"
    temperature: Annotated[float, Field(gt=0, le=10)] | None = None

    def embedding_term(self, context: ArmContext) -> EmbeddingTerm:
        """Return the term; the teacher encodes what is not in the cache yet.

        Raises:
            UserError: If the teacher cannot be loaded.
        """
        from hybridbatch.training.imitation import Imitation

        return Imitation(context, self)

    def provenance(self, location: DataLocation) -> dict[str, str]:
        """Return the commit of a teacher on the hub, nothing for a folder."""
        from hybridbatch.training.teacher import commit_of_teacher

        return commit_of_teacher(self.teacher, location)

    def check(self, experiment: Experiment, data: TrialData, location: DataLocation) -> None:
        """Raise unless the teacher is there, the pivot language is in the data and widths agree.

        Raises:
            UserError: If not.
        """
        from hybridbatch.training.spoken_languages import check_spoken
        from hybridbatch.training.teacher import teacher_settings

        languages = {language for pairs in data.train for language in pairs.languages}
        if self.pivot is not None and self.pivot not in languages:
            raise UserError(
                "the pivot language is in no training set", path="pivot", seen=self.pivot, allowed=one_of(languages)
            )
        teacher = teacher_settings(self.teacher, location)
        check_spoken(teacher, location, {"teacher": sorted(languages) if self.pivot is None else [self.pivot]})
        width = teacher.stated_widths().embedding
        wanted = cast(BackboneSettings, experiment.backbone).located(location).stated_widths().embedding
        if self.targets == "embeddings" and width is not None and wanted is not None and width != wanted:
            raise widths_differ(self.teacher, width, wanted)


def widths_differ(teacher: str, width: int, wanted: int) -> ConflictError:
    """Return the error for a teacher whose embeddings are not as wide as the student's."""
    return ConflictError(
        "the teacher's embeddings are not as wide as the student's",
        path="teacher",
        seen=f"{teacher} with {width} numbers, the student with {wanted}",
        allowed="equal widths",
        remedy="imitate the teacher's scores instead: `targets: scores` takes any width",
    )
