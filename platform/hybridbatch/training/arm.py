"""What an arm is: one thing that is done beyond plain hybrid batches, switched on in the experiment file.

An arm does one of three things: it runs a stage before fine-tuning, it changes training texts, or it adds a term to the
loss. Each registered arm is one file in ``training/arms``.

Shape legend: B pairs of this worker, D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hybridbatch.foundation.errors import OneWorkerError, UserError, first_line
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hybridbatch.batching.plan import Batch
    from hybridbatch.evaluation.token_store import TokenStore
    from hybridbatch.spec.experiment import Experiment
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.losses import Shard
    from hybridbatch.training.trial_data import TrialData
    from hybridbatch.training.workshop import Workshop


@dataclass(frozen=True)
class ArmContext:
    """What an arm may look at.

    Attributes:
        experiment: The experiment of the trial.
        workshop: What trials share.
        shard: Which part of each global batch is this worker's.
        device: Where to train.
    """

    experiment: Experiment
    workshop: Workshop
    shard: Shard
    device: str

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the trial."""
        return self.workshop.tokenizer(self.experiment)[0]


@dataclass(frozen=True)
class StepBatch:
    """The global batch of a step, and which of its pairs are this worker's."""

    batch: Batch
    own: slice


class TextChange(Protocol):
    """Changes training texts before they are tokenised; hard negatives are changed as passages."""

    def changed(self, text: str, language: str, role: str, step: int) -> str:
        """Return ``text`` as the encoder is to see it at ``step``.

        Args:
            text: The text, without prefix.
            language: Its language.
            role: ``questions`` or ``passages``.
            step: The step; what is drawn follows from the text, the role and the step, not from the worker.
        """


class EmbeddingTerm(Protocol):
    """A term of the loss that looks at embeddings of the batch, and of further texts that it names."""

    def texts(self, step: StepBatch) -> Mapping[str, TokenStore]:
        """Return further texts to encode with the batch, by role; called ahead of the step, in another thread."""

    def loss(self, embeddings: Mapping[str, Tensor], step: StepBatch, temperature: Tensor) -> Tensor:
        """Return this worker's part of the term: the mean over workers is the term of the global batch.

        Args:
            embeddings: By role, rows [R, D] of unit length: ``questions`` and ``passages`` [B, D], and what
                :meth:`texts` named.
            step: The batch.
            temperature: What the scores of the main loss are divided by.
        """


class StateTerm(Protocol):
    """A term of the loss that runs the encoder by itself, on texts of its own."""

    def backward(self, encoder: nn.Module, step: int, computing: AbstractContextManager[object]) -> Tensor:
        """Add the gradients of this worker's part of the term to ``encoder``; return the part, detached."""


@dataclass(frozen=True)
class StageWork:
    """What a stage is given to work with.

    Attributes:
        checkpoints: Folder of its checkpoints: a stage that was killed goes on from the newest.
        told: Called now and then with the steps done and the newest loss.
    """

    checkpoints: Path
    told: Callable[[int, float], None]


@dataclass(frozen=True)
class StageReport:
    """What came of a stage.

    Attributes:
        losses: Steps done, and the mean loss since the entry before.
        more: Further JSON-like findings that are kept beside the weights.
    """

    losses: Sequence[tuple[int, float]]
    more: Mapping[str, Any] = field(default_factory=dict)


class Stage(Protocol):
    """Training of the encoder before fine-tuning; its outcome is kept and shared by trials (``training/stages.py``)."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""

    def identity(self) -> Mapping[str, Any]:
        """Return, as JSON-like values, all that the outcome depends on beside the arm's settings and the trial.

        What of the trial counts always is the encoder that the stage starts from, its tokenizer, the seed, the
        precision, the threads and the sort of device.
        """

    def run(self, encoder: nn.Module, work: StageWork) -> StageReport:
        """Train ``encoder`` in place: the same from any checkpoint, and with the names of weights that it had.

        Raises:
            UserError: If the encoder is not one that can be trained so; its path starts from the arm.
            TrialError: If the loss is not finite.
        """


class Arm(Settings):
    """The settings of an arm; the key in ``arms`` is its registered name.

    Attributes:
        description: What it does, in a sentence; a fact of the class, no setting.
        stage_order: Where its stage stands among those of other arms, the lowest first; a fact of the class.
        keeps_to_the_corpus: Whether fine-tuning with it gives the encoder no tokens but those that the texts of the
            data sets have, so that a vocabulary may be trimmed to these, which happens after all stages; a fact of the
            class, no setting.
    """

    description: ClassVar[str]
    stage_order: ClassVar[int] = 0
    keeps_to_the_corpus: ClassVar[bool] = False

    def check(self, experiment: Experiment, data: TrialData, location: DataLocation) -> None:
        """Raise for whatever would stop a trial with this arm and that can be found out before the first one.

        Args:
            experiment: An experiment that has this arm switched on.
            data: Its data.
            location: Where data lies.

        Raises:
            UserError: Its path starts from this arm: ``languages``, not ``arms.NAME.languages``.
        """

    def provenance(self, location: DataLocation) -> Mapping[str, str]:
        """Return what its settings only name, for the records of a trial: commits of models, fingerprints of files.

        Args:
            location: Where data lies.

        Returns:
            By the path of the setting in this arm.

        Raises:
            UserError: If one cannot be read any more.
        """
        return {}

    def text_change(self, context: ArmContext) -> TextChange | None:
        """Return how this arm changes training texts, None when it does not."""
        return None

    def embedding_term(self, context: ArmContext) -> EmbeddingTerm | None:
        """Return the term over embeddings that this arm adds to the loss, None when it adds none."""
        return None

    def state_term(self, context: ArmContext, encoder: nn.Module) -> StateTerm | None:
        """Return the term that this arm adds with passes of its own, None when it adds none."""
        return None

    def stage(self, context: ArmContext) -> Stage | None:
        """Return what this arm trains before fine-tuning, None when nothing."""
        return None


@contextmanager
def errors_below(place: str) -> Iterator[None]:
    """Put ``place`` before the path of a :class:`UserError`, such as ``arms.code-switching`` before ``dictionary``.

    The error stays of its kind: a :class:`~hybridbatch.foundation.errors.ConflictError` fails a searched trial alone.
    """
    try:
        yield
    except UserError as error:
        raise error.retold(path=f"{place}.{error.path}" if error.path else place) from error


@contextmanager
def memory_of(place: str) -> Iterator[None]:
    """Turn a lack of the accelerator's memory into an error that names ``place``, such as ``arms.optical``."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OneWorkerError(
            "texts of this arm do not fit into the accelerator's memory",
            path=place,
            seen=first_line(error),
            remedy="make training.chunk_tokens smaller, or the arm's batch or texts",
        ) from error


def active_arms(experiment: Experiment) -> Iterator[tuple[str, Arm]]:
    """Yield the arms that are switched on, by name."""
    for name, arm in experiment.arms:
        if arm is not None:
            yield name, arm


def check_tokens_are_known(experiment: Experiment) -> None:
    """Check that a vocabulary is trimmed only where the tokens of all texts are known beforehand.

    Raises:
        UserError: For an arm that may need others.
    """
    if not experiment.training.trim_vocabulary:
        return
    for name, arm in active_arms(experiment):
        if not arm.keeps_to_the_corpus:
            raise UserError(
                "an arm may need tokens that no text of the data sets has",
                path="training.trim_vocabulary",
                seen=f"true, with arms.{name}",
                allowed=f"false, or arms.{name} left out",
            )
