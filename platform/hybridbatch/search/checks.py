"""What would keep a study from running, found before its first trial: what `plan` and `run` both look at.

What an experiment file says by itself is checked when it is read; here it meets its data and its backbone.

Shape legend: L languages, P relevant pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from hybridbatch.backbones.backbone import BackboneSettings, LanguageAwareTokenizer, TrainingText
from hybridbatch.batching.plan import BatchPlan
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.means import summarise
from hybridbatch.evaluation.rank import Ranks
from hybridbatch.evaluation.score import score_table
from hybridbatch.evaluation.task_ranks import TaskRanks, language_offsets, leading_places
from hybridbatch.foundation.errors import UserError, one_of
from hybridbatch.search.planned import PlannedTrials, planned_trials
from hybridbatch.search.settings_to_check import SettingsToCheck, settings_to_check
from hybridbatch.spec.experiment import Experiment, Search, Training
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.arm import active_arms, check_tokens_are_known, errors_below
from hybridbatch.training.matryoshka import check_widths
from hybridbatch.training.negative_source import NegativeSource
from hybridbatch.training.trial_data import TrialData, load_trial_data


@dataclass(frozen=True)
class CheckedStudy:
    """A study that can run.

    Attributes:
        plan: Its trials.
        data: The data as the file names them.
        settings: What was tried with them: at least one entry, unless nothing runs.
    """

    plan: PlannedTrials
    data: TrialData
    settings: list[SettingsToCheck]


def check_study(experiment: Experiment, location: DataLocation, trials: int | None = None) -> CheckedStudy:
    """Return a study whose data, objectives, batches and backbone go together.

    Args:
        experiment: The experiment.
        location: Where data lies.
        trials: Searched trials, in place of ``search.trials``.

    Raises:
        UserError: For whatever would stop the study at one of its trials.
    """
    plan = planned_trials(experiment, trials)
    data = load_trial_data(experiment.data, location)
    _check_measures(experiment.search, data.selection)
    settings = settings_to_check(experiment, plan)
    loaded = {_data_key(experiment): data}
    for one in settings:
        key = _data_key(one.experiment)
        if key not in loaded:
            try:
                loaded[key] = load_trial_data(one.experiment.data, location)
            except UserError as error:
                raise one.named_in(error, "data") from error
    _check_batches(settings, loaded)
    _check_backbones(settings, loaded, location)
    _check_arms(settings, loaded, location)
    _check_hard_negatives(settings, loaded, location)
    _check_trained_parts(settings, location)
    return CheckedStudy(plan, data, settings)


def left_out(checked: CheckedStudy) -> list[str]:
    """Return which training sets, or languages of them, are too small for the batches of a study, a line for each."""
    # Shares make no difference here: the same kinds and size are planned once.
    distinct = {
        (_size(one), frozenset(kind for kind, weight in one.experiment.batches.mix.items() if weight))
        for one in checked.settings
    }
    found: set[str] = set()
    for size, kinds in distinct:
        with suppress(UserError):  # a kind that no set can fill with the values of another trial
            mix = dict.fromkeys(kinds, 1.0)
            found.update(BatchPlan(checked.data.pair_sets, size=size, mix=mix, size_exponent=0, seed=0).left_out)
    return sorted(found)


def _data_key(experiment: Experiment) -> str:
    """Return what decides which data are loaded: the selection set is the same in all trials."""
    return experiment.data.model_dump_json(include={"train", "report"})


def _check_measures(search: Search, selection: RetrievalTask) -> None:
    defined = measures_of(selection)
    named = [(f"objectives.{index}", one.metric, "objective") for index, one in enumerate(search.objectives)]
    named += [(f"constraints.{index}", one.metric, "constraint") for index, one in enumerate(search.constraints)]
    for place, metric, kind in named:
        if metric not in defined:
            raise UserError(
                f"this {kind} has no value on the selection set",
                path=f"search.{place}.metric",
                seen=f"{metric} on {selection.name} in {', '.join(selection.languages)}",
                allowed=one_of(defined) or "a selection set whose questions have answers",
                remedy="choose another metric, or a selection set with questions and answers in more languages",
            )


def measures_of(task: RetrievalTask) -> set[str]:
    """Return the measures that have a value on a task, whatever the encoder: those of a ranking made up here."""
    offsets = task.relevant_offsets
    pairs = np.arange(len(task.relevant_candidates))
    question_P = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    language_P = np.searchsorted(language_offsets(task), task.relevant_candidates, side="right") - 1
    group_P = question_P * len(task.languages) + language_P
    starts_P = np.concatenate([[True], np.diff(group_P) != 0])[: len(pairs)]
    first_P = np.maximum.accumulate(np.where(starts_P, pairs, 0))
    unranked = Ranks.unranked(len(pairs), len(offsets) - 1, min(leading_places(task), len(task.candidates)))
    relevant = replace(unranked, language_P=pairs - first_P + 1, pool_P=pairs - offsets[question_P] + 1)
    relevant.leading_QK[:] = np.arange(relevant.leading_QK.shape[1])
    wrong = None if task.contrasts_QL is None else Ranks.unranked(int(np.count_nonzero(task.contrasts_QL >= 0)), 0, 0)
    return set(summarise(score_table(task, TaskRanks(relevant, wrong))).summary)


def _check_batches(settings: Iterable[SettingsToCheck], loaded: dict[str, TrialData]) -> None:
    # Whoever can fill a large batch can fill a small one: one plan for each kind and choice of training sets.
    largest: dict[tuple[str, str], SettingsToCheck] = {}
    for one in settings:
        for kind, weight in sorted(one.experiment.batches.mix.items()):
            key = (kind, _data_key(one.experiment))
            if weight > 0 and (key not in largest or _size(one) > _size(largest[key])):
                largest[key] = one
    for (kind, data), one in largest.items():
        try:
            BatchPlan(loaded[data].pair_sets, size=_size(one), mix={kind: 1.0}, size_exponent=1.0, seed=0)
        except UserError as error:
            raise one.named_in(error, "data", "batches.size", f"batches.mix.{kind}") from error


def _size(one: SettingsToCheck) -> int:
    return one.experiment.batches.size


def _check_backbones(settings: Iterable[SettingsToCheck], loaded: dict[str, TrialData], location: DataLocation) -> None:
    """Load the tokenizer of every pretrained model: megabytes at most, and enough to know that the model is there.

    Of its weights only a list of what is in them is looked at, where they could hold more than tensors.
    """
    tokenizers: dict[str, Any] = {}
    for one in settings:
        backbone = cast(BackboneSettings, one.experiment.backbone)
        if backbone.random_weights:
            continue
        try:
            here = backbone.located(location)
            key = here.model_dump_json(include={"kind", "name", "size", "revision", "folder"})
            if key not in tokenizers:
                text = TrainingText(fingerprint="", texts=tuple, cache=location.cache)  # needs no text
                tokenizers[key] = here.tokenizer(text)
                here.check_weights()
            if isinstance(tokenizers[key], LanguageAwareTokenizer):
                _check_languages(tokenizers[key], loaded[_data_key(one.experiment)])
        except UserError as error:
            raise one.named_in(error, "data", "backbone") from error


def _check_hard_negatives(
    settings: Iterable[SettingsToCheck], loaded: dict[str, TrialData], location: DataLocation
) -> None:
    tried: set[tuple[str, str]] = set()
    for one in settings:
        source = cast(NegativeSource | None, one.experiment.batches.hard_negatives)
        data = _data_key(one.experiment)
        if source is None or (source.model_dump_json(), data) in tried:
            continue
        tried.add((source.model_dump_json(), data))
        try:
            source.check(loaded[data].train, location)
        except UserError as error:
            raise one.named_in(error, "data", "batches.hard_negatives") from error


def _check_trained_parts(settings: Iterable[SettingsToCheck], location: DataLocation) -> None:
    """Compare what is trained, on how long texts and at which widths, with what is known of an encoder as such."""
    outlines: dict[str, Any] = {}
    for one in settings:
        backbone, training = cast(BackboneSettings, one.experiment.backbone), one.experiment.training
        try:
            check_tokens_are_known(one.experiment)
            if one.experiment.loss.matryoshka:
                width = backbone.located(location).stated_widths().embedding
                if width is not None:
                    check_widths(one.experiment.loss.matryoshka, width)
            if not backbone.random_weights or _asks_for_parts(training):
                from hybridbatch.training.trained_part import check_trained_part  # torch, which nobody else needs here
                from hybridbatch.training.workshop import check_lengths

                key = backbone.model_dump_json()
                if key not in outlines:
                    outlines[key] = backbone.located(location).outline()
                check_lengths(backbone, outlines[key])
                check_trained_part(outlines[key], training)
        except UserError as error:
            raise one.named_in(error, "backbone", "training", "loss", "arms") from error


def _asks_for_parts(training: Training) -> bool:
    frozen = training.freeze_layers or training.freeze_embeddings
    return bool(training.lora or frozen or training.layer_decay != 1 or training.gradient_checkpointing)


def _check_languages(tokenizer: LanguageAwareTokenizer, data: TrialData) -> None:
    trained = [(pairs.name, pairs.languages) for pairs in data.train]
    for name, languages in trained + [(task.name, task.languages) for task in (data.selection, *data.report)]:
        try:
            tokenizer.check_languages(languages)
        except UserError as error:
            raise error.retold(problem=f"{error.problem} of {name}") from error


def _check_arms(settings: Iterable[SettingsToCheck], loaded: dict[str, TrialData], location: DataLocation) -> None:
    checked: set[str] = set()
    for one in settings:
        key = one.experiment.model_dump_json(include={"data", "backbone", "arms"})
        if key in checked:
            continue
        checked.add(key)
        try:
            for name, arm in active_arms(one.experiment):
                with errors_below(f"arms.{name}"):
                    arm.check(one.experiment, loaded[_data_key(one.experiment)], location)
        except UserError as error:
            raise one.named_in(error, "data", "backbone", "arms") from error
