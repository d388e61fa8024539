"""The term of the loss behind the arm ``optical``: a student's token states are moved to those of a frozen teacher.

Shape legend: B pairs of this worker, P pairs of a pass, S tokens of a sentence in the pivot language, T tokens of its
translation, H width of the states.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from hybridbatch.backbones.backbone import BackboneSettings
from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.datasets.arrow_cache import values_of
from hybridbatch.evaluation.load_model import load_model
from hybridbatch.evaluation.token_store import TokenStore, tokenized, tokenized_in_memory, tokenizer_fingerprint
from hybridbatch.foundation.errors import ConflictError, UserError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.arm import ArmContext
from hybridbatch.training.bitext import (
    SentencePairPlan,
    SentencePairs,
    check_batch,
    load_sentence_pairs,
    refuse_reported_text,
)
from hybridbatch.training.input_pipeline import tokens_of_pass
from hybridbatch.training.spoken_languages import check_spoken
from hybridbatch.training.teacher import teacher_settings
from hybridbatch.training.text_passes import TextPass, text_passes
from hybridbatch.training.transport import transport_costs

if TYPE_CHECKING:
    from hybridbatch.spec.experiment import Experiment
    from hybridbatch.training.arms.optical import OptimalTransportDistillation
    from hybridbatch.training.trial_data import TrialData

_PURPOSE = "optical"
T = TypeVar("T")


@dataclass(frozen=True)
class Sentences:
    """Sentences as tokens, as one encoder takes them.

    Attributes:
        tokens: The sentences.
        special: Ids that belong to no sentence: those of a text without words.
    """

    tokens: TokenStore
    special: Tensor

    @classmethod
    def of(
        cls,
        pairs: SentencePairs,
        backbone: BackboneSettings,
        tokenizer: Any,
        of_questions: bool,
        location: DataLocation,
    ) -> Sentences:
        """Return all sentences of ``pairs``, from the token store that trials share."""
        prefix, longest = backbone.prefix_and_tokens(of_questions)
        tokens = tokenized(
            values_of(pairs.rows, pairs.column),
            f"{pairs.fingerprint} {pairs.column}",
            tokenizer,
            tokenizer_fingerprint(tokenizer),
            prefix=prefix,
            longest=longest,
            cache=location.cache,
            languages=values_of(pairs.rows, "language"),
        )
        nothing = [""] * len(pairs.languages)
        special = tokenized_in_memory(nothing, tokenizer, prefix="", longest=longest, languages=pairs.languages)
        return cls(tokens, torch.from_numpy(np.unique(special.ids).astype(np.int64)))

    def counted(self, ids_PT: Tensor, mask_PT: Tensor) -> Tensor:
        """Return which tokens have mass [P, T]: those of the sentence; all, where it has none of its own."""
        real_PT = mask_PT.bool()
        own_PT = real_PT & ~torch.isin(ids_PT, self.special.to(ids_PT.device))
        return torch.where(own_PT.any(dim=1, keepdim=True), own_PT, real_PT)


@dataclass(frozen=True)
class FrozenTeacher:
    """A frozen encoder and the sentences as it takes them."""

    encoder: TextEncoder
    sentences: Sentences


class TransportDistillation:
    """A :class:`~hybridbatch.training.arm.StateTerm` that needs bitext alone.

    The student's texts go through it in passes of bounded size, each with its own way back: the term is a mean over
    pairs, so gradients of passes add up, and no more than a pass is in memory at a time.

    Args:
        settings: The settings of the arm.
        context: The trial.
        pairs: The bitext.
        student: The sentences as the trial's encoder takes them.
        teacher: What the sentences in the pivot language are encoded with.
    """

    def __init__(
        self,
        settings: OptimalTransportDistillation,
        context: ArmContext,
        pairs: SentencePairs,
        student: Sentences,
        teacher: FrozenTeacher,
    ) -> None:
        self._settings, self._context, self._pairs = settings, context, pairs
        self._student, self._teacher = student, teacher
        self._plan = SentencePairPlan(
            len(pairs.pivot_P),
            size=settings.batch_size,
            shard=context.shard,
            seed=context.experiment.training.seed,
            purpose=_PURPOSE,
        )
        chunk, most = context.experiment.training.chunk_tokens, tokens_of_pass(context.device, packed=False)
        self._most_tokens = most if chunk == "auto" else min(most, chunk)

    def backward(self, encoder: nn.Module, step: int, computing: AbstractContextManager[object]) -> Tensor:
        """Add the gradients of the mean transport cost of this worker's pairs; return it, weighted and detached."""
        device, seed = self._context.device, self._context.experiment.training.seed
        pairs_B = self._plan.batch(step)
        pivots = self._teacher.sentences.tokens.chosen(self._pairs.pivot_P[pairs_B])
        translations = self._student.tokens.chosen(self._pairs.translation_P[pairs_B])
        total = torch.zeros((), device=device)
        for number, texts in enumerate(text_passes(translations, self._most_tokens, packed=False)):
            torch.manual_seed(derive_seed(seed, _PURPOSE, step, self._context.shard.rank, number))
            costs_P = self._costs(cast(TextEncoder, encoder), texts.to(device), pivots, computing)
            loss = self._settings.weight * costs_P.sum() / len(pairs_B)
            loss.backward()  # type: ignore[no-untyped-call]
            total = total + loss.detach()
        return total

    def _costs(
        self, encoder: TextEncoder, texts: TextPass, pivots: TokenStore, computing: AbstractContextManager[object]
    ) -> Tensor:
        device = self._context.device
        if texts.mask_RT is None:
            raise TypeError("sentences come padded, with their mask")
        ids_PS, mask_PS = (torch.from_numpy(one).to(device) for one in pivots.padded(texts.rows_R.cpu().numpy()))
        with computing:
            with torch.no_grad():
                states_PSH = self._teacher.encoder.token_states(ids_PS, mask_PS)
            states_PTH = encoder.token_states(texts.ids, texts.mask_RT)
        return transport_costs(
            states_PSH,
            states_PTH,
            self._teacher.sentences.counted(ids_PS, mask_PS),
            self._student.counted(texts.ids, texts.mask_RT),
            epsilon=self._settings.epsilon,
            iterations=self._settings.iterations,
        )


def transport_distillation(
    settings: OptimalTransportDistillation, context: ArmContext, encoder: nn.Module
) -> TransportDistillation:
    """Return the term of a trial whose ``encoder`` nothing has trained since its stages.

    Raises:
        UserError: If bitext or teacher cannot be loaded, or do not fit the trial; its path starts from the arm.
    """
    workshop, location, trained = context.workshop, context.workshop.location, cast(TextEncoder, encoder)
    pairs = _pairs(settings, location)
    check_batch(settings.batch_size, pairs, context.shard.workers, "batch_size")
    of_questions = settings.encode_as == "questions"
    backbone = workshop.backbone(context.experiment)
    student = Sentences.of(pairs, backbone, context.tokenizer, of_questions, location)
    if settings.teacher is None:
        teacher = FrozenTeacher(_frozen(trained), student)
    else:
        place = teacher_settings(settings.teacher, location).name
        model = _at("teacher", lambda: load_model(place))
        sentences = Sentences.of(pairs, model.backbone, model.tokenizer, of_questions, location)
        teacher = FrozenTeacher(_frozen(model.encoder).to(context.device), sentences)
        _check_widths(_width(teacher.encoder), _width(trained))
    return TransportDistillation(settings, context, pairs, student, teacher)


def check_distillation(
    settings: OptimalTransportDistillation, experiment: Experiment, data: TrialData, location: DataLocation
) -> None:
    """Raise for what would stop a trial: bitext that is missing, too small or reported on, a teacher that does not fit.

    Raises:
        UserError: At the setting that is to blame.
    """
    pairs = _pairs(settings, location)
    check_batch(settings.batch_size, pairs, experiment.resources.fewest_workers, "batch_size")
    if experiment.data.allow_overlap is None:
        refuse_reported_text(pairs, data.report, "bitext")
    student = cast(BackboneSettings, experiment.backbone).located(location)
    check_spoken(student, location, {"bitext": pairs.languages})
    if settings.teacher is not None:
        teacher = teacher_settings(settings.teacher, location)
        _at("teacher", lambda: check_spoken(teacher, location, {"teacher": pairs.languages}))
        width, wanted = teacher.stated_widths().states, student.stated_widths().states
        if width is not None and wanted is not None:
            _check_widths(width, wanted)


def _check_widths(teacher: int, student: int) -> None:
    if teacher != student:
        raise ConflictError(
            "the token states of teacher and backbone have different widths",
            path="teacher",
            seen=f"{teacher} of the teacher, {student} of the backbone",
            allowed="a teacher whose states have the width of the backbone's",
            remedy="take another teacher or backbone, or leave the teacher out",
        )


def _width(encoder: TextEncoder) -> int:
    one_BT = torch.zeros((1, 1), dtype=torch.int64, device=next(encoder.parameters()).device)
    with torch.no_grad():
        return encoder.token_states(one_BT, one_BT + 1).shape[-1]


def _frozen(encoder: TextEncoder) -> TextEncoder:
    """Return a copy of ``encoder`` as it is now, without dropout, that nothing trains."""
    return copy.deepcopy(encoder).eval().requires_grad_(False)


def _pairs(settings: OptimalTransportDistillation, location: DataLocation) -> SentencePairs:
    return _at("bitext", lambda: load_sentence_pairs(settings.bitext, settings.pivot, location))


def _at(setting: str, load: Callable[[], T]) -> T:
    """Return what ``load`` returns; its errors are told at the setting, with the record where they name one."""
    try:
        return load()
    except UserError as error:
        record = "" if error.path in (None, setting) else f", {error.path}"
        raise error.retold(path=f"{setting}{record}") from error
