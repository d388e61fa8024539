"""Stages before fine-tuning: each is trained once, and all trials that begin alike share its outcome.

CACHE/stages/FINGERPRINT/          encoder.safetensors, outcome.json: whole or not there
CACHE/stages/FINGERPRINT.lock      held by who makes it, and gone with its holder: a killed maker is taken over
CACHE/stages/FINGERPRINT.making/   its checkpoints and progress, removed with the last step

The fingerprint covers all that the outcome depends on, so that several trials, drivers and workers of one machine may
ask for it at once. Workers on machines that share no disk make it each for itself, and come to the same.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import StoreError, readable_disk_errors
from hybridbatch.foundation.file_lock import held
from hybridbatch.spec.trial import Record, StageRecord
from hybridbatch.training.arm import Arm, ArmContext, Stage, StageWork, active_arms, errors_below
from hybridbatch.training.checkpoints import load_weights, write_tensors
from hybridbatch.training.progress import Progress, ProgressFile, read_progress

_log = logging.getLogger(__name__)
_FORMAT = 2  # part of the fingerprint: raise it when what a stage does with the same settings changes
WEIGHTS, OUTCOME = "encoder.safetensors", "outcome.json"

Told = Callable[[Progress], None]


class Outcome(Record):
    """What ``outcome.json`` holds.

    Attributes:
        arm: Name of the arm.
        identity: All that the outcome depends on.
        weights: Fingerprint of the file of weights.
        steps: Optimizer steps.
        losses: Steps done, and the mean loss since the entry before.
        seconds: Wall time of the attempt that finished it.
        more: What else the stage found.
    """

    arm: str
    identity: dict[str, Any]
    weights: str
    steps: int
    losses: tuple[tuple[int, float], ...]
    seconds: float
    more: dict[str, Any]


_OUTCOME = TypeAdapter(Outcome)


def run_stages(encoder: nn.Module, context: ArmContext, told: Told) -> tuple[StageRecord, ...]:
    """Take ``encoder``, as the workshop made it, through the stages of the arms that are switched on.

    Args:
        encoder: The encoder, trained in place.
        context: The trial.
        told: Called while a stage runs, here or in another process, with how far it is.

    Returns:
        What was done, in order.

    Raises:
        UserError: If an arm cannot do its work with this backbone or its files.
        TrialError: If a loss is not finite.
        StoreError: If the cache cannot be written.
    """
    arms = sorted(active_arms(context.experiment), key=lambda one: one[1].stage_order)
    stages: list[tuple[str, Arm, Stage]] = []
    for name, arm in arms:
        with errors_below(f"arms.{name}"):
            stage = arm.stage(context)
        if stage is not None:
            stages.append((name, arm, stage))
    if not stages:
        return ()
    start = context.workshop.encoder_fingerprint(context.experiment)
    records = []
    for name, arm, stage in stages:
        kept = KeptStage(context.workshop.location.cache / "stages", name, stage, _identity(start, arm, stage, context))
        with errors_below(f"arms.{name}"):
            outcome, from_cache = kept.outcome(encoder, told)
        load_weights(kept.folder / WEIGHTS, encoder)  # by who made it, too: all trials begin from the same file
        start = kept.name
        _, loss = outcome.losses[-1]
        records.append(
            StageRecord(
                arm=name,
                outcome=kept.name,
                steps=outcome.steps,
                loss=loss,
                seconds=outcome.seconds,
                from_cache=from_cache,
            )
        )
    return tuple(records)


def _identity(start: str, arm: Arm, stage: Stage, context: ArmContext) -> dict[str, Any]:
    experiment = context.experiment
    training = experiment.training
    _, tokenizer = context.workshop.tokenizer(experiment)
    return {
        "format": _FORMAT,
        "start": start,
        "backbone": experiment.backbone.model_dump(mode="json"),
        "tokenizer": tokenizer,
        "settings": arm.model_dump(mode="json"),
        "seed": training.seed,
        "precision": training.precision,
        "threads": training.threads,
        "device": torch.device(context.device).type,
        **stage.identity(),
    }


@dataclass(frozen=True)
class KeptStage:
    """A stage and the place of its outcome.

    Attributes:
        root: Folder of all outcomes.
        arm: Name of the arm.
        stage: The stage.
        identity: All that the outcome depends on.
    """

    root: Path
    arm: str
    stage: Stage
    identity: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The fingerprint."""
        return fingerprint.of_json({"arm": self.arm, **self.identity})

    @property
    def folder(self) -> Path:
        """Where the outcome lies."""
        return self.root / self.name

    @property
    def making(self) -> Path:
        """Where its maker works."""
        return self.root / f"{self.name}.making"

    def outcome(self, encoder: nn.Module, told: Told) -> tuple[Outcome, bool]:
        """Return the outcome and whether it was there; one that is missing or damaged is made from ``encoder``.

        Raises:
            TrialError: If a loss is not finite.
            StoreError: If the cache cannot be written.
        """
        kept = self._kept()
        if kept is not None:
            return kept, True
        with held(self.root / f"{self.name}.lock", lambda: self._tell_of_maker(told)):
            kept = self._kept()
            if kept is not None:  # made while this one waited
                return kept, True
            self._make(encoder, told)
            kept = self._kept()
        if kept is None:
            raise StoreError(
                "what was written cannot be read", file=self.folder, remedy="look whether the disk is sound"
            )
        return kept, False

    def _kept(self) -> Outcome | None:
        if not self.folder.exists():
            return None
        try:
            outcome = _OUTCOME.validate_json((self.folder / OUTCOME).read_bytes())
            whole = bool(outcome.losses) and fingerprint.of_files([self.folder / WEIGHTS]) == outcome.weights
        except (OSError, ValueError):
            whole = False
        if not whole:
            _log.warning("%s is damaged: the stage %s is made again", self.folder, self.arm)
            return None
        return outcome

    def _make(self, encoder: nn.Module, told: Told) -> None:
        begin = time.perf_counter()
        with readable_disk_errors(self.making):
            self.making.mkdir(parents=True, exist_ok=True)
        file = ProgressFile(self.making / "progress.json", self.stage.steps, active=True)

        def tell(step: int, loss: float | None) -> None:
            file.update(phase="adapting", step=step, loss=loss)
            told(file.now)

        tell(0, None)
        report = self.stage.run(encoder, StageWork(self.making / "checkpoints", tell))
        with atomic.folder_written_whole(self.folder) as draft:
            write_tensors(encoder.state_dict(), draft / WEIGHTS)
            outcome = Outcome(
                arm=self.arm,
                identity=dict(self.identity),
                weights=fingerprint.of_files([draft / WEIGHTS]),
                steps=self.stage.steps,
                losses=tuple(report.losses),
                seconds=time.perf_counter() - begin,
                more=dict(report.more),
            )
            atomic.write_text(draft / OUTCOME, outcome.model_dump_json(indent=1) + "\n")
        shutil.rmtree(self.making, ignore_errors=True)

    def _tell_of_maker(self, told: Told) -> None:
        told(read_progress(self.making / "progress.json") or Progress(phase="adapting", step=0, steps=self.stage.steps))
