"""One trial from its spec to its folder: train, evaluate at every rung, report, measure on the report sets."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import torch

from hybridbatch.evaluation.measure import measure
from hybridbatch.evaluation.score_files import write_scores
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import ConflictError, HybridBatchError, OneWorkerError, TrialError, first_line
from hybridbatch.foundation.provenance import provenance
from hybridbatch.spec.folders import TrialFolder
from hybridbatch.spec.trial import DatasetResult, Mixture, Rung, StageRecord, TrialResult, TrialSpec, TrialState
from hybridbatch.training.arm import active_arms
from hybridbatch.training.broken_group import BrokenGroupError, is_of_the_accelerator, lost_the_others
from hybridbatch.training.checkpoints import load_weights, newest_checkpoint, write_tensors
from hybridbatch.training.early_stopping import BestSoFar
from hybridbatch.training.losses import ALONE, Shard
from hybridbatch.training.progress import Progress, ProgressFile, nobody_watches
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.workshop import Workshop

_log = logging.getLogger(__name__)
# What a trial's own numbers and settings can lead to. Not what the disk or Ray raise: a trial outlives those.
_OF_THE_TRIAL = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, OneWorkerError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


class Verdicts(Protocol):
    """Where a trial reports its rungs and learns whether to go on."""

    def report(self, step: int, rung: Rung | None) -> bool:
        """Report a rung; return whether to go on.

        All workers call it; the first brings the rung, the others None. Reporting a step twice gives the same answer.

        Raises:
            TakenAwayError: If the trial is in other hands, or over.
        """

    def notice(self) -> bool:
        """Return whether this worker's machine, or that of another one, is about to be taken away."""


def run_trial(
    spec: TrialSpec,
    folder: TrialFolder,
    workshop: Workshop,
    verdicts: Verdicts,
    *,
    shard: Shard = ALONE,
    device: str = "cpu",
    watch: Callable[[Progress], None] = nobody_watches,
) -> TrialResult | None:
    """Run a trial from its newest checkpoint, or from the start, to its result.

    Args:
        spec: What to do.
        folder: Where everything of the trial is written, the result last.
        workshop: What trials of this process share.
        verdicts: Decides at every rung.
        shard: This worker among the trial's workers.
        device: Where to train.
        watch: Called on the first worker with how far the trial is; must neither raise nor take time.

    Returns:
        The result, on the first worker; a trial that cannot give one is ``failed`` with the reason.

    Raises:
        UserError: For what no other trial would survive either: data that cannot be loaded, a damaged checkpoint.
        StoreError: If the folder cannot be written.
        BrokenGroupError: If other workers were lost, the accelerator is of no use any more, or the others cannot go on
            because this one failed by itself; in the last case the result is written.
        TakenAwayError: If the trial is in other hands by now.
    """
    run = TrialRun(spec, folder, workshop, verdicts, shard, device, watch)
    try:
        result = run.to_the_end()
    except _OF_THE_TRIAL as error:
        lost = shard.workers > 1 and lost_the_others(error)
        if lost or (is_of_the_accelerator(error) and run.is_first_loss_of_the_accelerator()):
            raise BrokenGroupError(f"trial {spec.number}: {error}") from error
        _log.exception("trial %d failed", spec.number)
        result = run.result_of_failure(error)
        if shard.workers > 1 or is_of_the_accelerator(error):
            run.write(result)
            raise BrokenGroupError(f"trial {spec.number} failed in one of its workers") from error
    except TrialError as error:  # all workers see what is not finite at the same step
        result = run.result("failed", error.render())
    except ConflictError as error:
        if not spec.params:  # nothing was drawn: every trial would meet it
            raise
        result = run.result("failed", error.render())
    if shard.rank:
        return None
    return run.write(result)


class TrialRun:
    """The state of a running trial."""

    def __init__(
        self,
        spec: TrialSpec,
        folder: TrialFolder,
        workshop: Workshop,
        verdicts: Verdicts,
        shard: Shard,
        device: str,
        watch: Callable[[Progress], None] = nobody_watches,
    ) -> None:
        self.spec, self.folder, self.workshop, self.verdicts = spec, folder, workshop, verdicts
        self.shard, self.device, self.experiment = shard, device, spec.experiment
        self.settings = spec.experiment.training
        self.trainer: Trainer | None = None
        self.rungs: list[Rung] = []
        self.best = BestSoFar()
        self.report: dict[str, DatasetResult] = {}
        self.seconds = {"train": 0.0, "evaluate": 0.0}
        self.stages: tuple[StageRecord, ...] = ()
        self.arms: dict[str, Mapping[str, str]] = {}
        self.started = _now()
        self.first_step: str | None = None
        self.progress = ProgressFile(folder.progress, self.settings.steps, active=shard.rank == 0, watch=watch)

    @property
    def curve(self) -> list[Any]:
        """The training curve so far."""
        return self.trainer.curve if self.trainer else []

    def to_the_end(self) -> TrialResult:
        """Train, evaluate and report until the trial is complete or pruned; return its result."""
        self.progress.update(force=True)
        trainer = self.trainer = Trainer(self.experiment, self.workshop, self.shard, self.device, self._tell_of_stage)
        self.stages = trainer.stages
        location = self.workshop.location
        self.arms = {name: arm.provenance(location) for name, arm in active_arms(self.experiment)}
        self.progress.update(phase="loading", step=0, steps=self.settings.steps, loss=None)
        checkpoint = newest_checkpoint(self.folder.checkpoints)
        if checkpoint is not None:
            self._go_back_to(checkpoint, trainer)
            self.progress.update(step=trainer.step)
            # One that was written on notice may lie behind its last rung, or before the first.
            last = self.rungs[-1] if self.rungs else None
            if last and not self.verdicts.report(last.step, None if self.shard.rank else last):
                return self._pruned()
        while trainer.step < self.settings.steps and not self._waited_enough():
            rung = self._next_rung(trainer)
            if not self.verdicts.report(trainer.step, rung):
                return self._pruned()
        return self._complete(trainer)

    def _tell_of_stage(self, now: Progress) -> None:
        self.progress.update(phase=now.phase, step=now.step, steps=now.steps, loss=now.loss)

    def _go_back_to(self, checkpoint: Path, trainer: Trainer) -> None:
        state = trainer.load(checkpoint)
        self.rungs = [Rung.model_validate(rung) for rung in state["rungs"]]
        self.best = BestSoFar(**state["best"])
        self.seconds = dict(state["seconds"])
        self.started = state["started"]
        # what the attempt before saw: that this one took it from the cache says nothing
        self.stages = tuple(StageRecord.model_validate(one) for one in state.get("stages", ()))

    def _next_rung(self, trainer: Trainer) -> Rung | None:
        every = self.settings.evaluate_every
        self.first_step = self.first_step or _now()
        start = time.perf_counter()
        loss = trainer.train_until(
            min(self.settings.steps, (trainer.step // every + 1) * every),
            lambda point: self.progress.update(
                phase="training", step=point.step, loss=point.loss, pairs_per_second=point.pairs_per_second
            ),
            noticed=self.verdicts.notice,
            save=lambda: self._save(trainer, time.perf_counter() - start),
        )
        self.seconds["train"] += time.perf_counter() - start
        start = time.perf_counter()
        self.progress.update(phase="evaluating", step=trainer.step)
        measured = self._measure_selection(trainer)
        self.seconds["evaluate"] += time.perf_counter() - start
        rung = None
        if measured is not None:
            seconds = sum(self.seconds.values())
            rung = Rung(step=trainer.step, seconds=seconds, train_loss=loss, summary=measured.summary, measured=_now())
            self.rungs.append(rung)
            self.progress.update(phase="training", summary=measured.summary)
        self._see_if_best(trainer, rung)
        self._save(trainer)
        return rung

    def _save(self, trainer: Trainer, trained: float = 0.0) -> None:
        """Write a checkpoint, where ``trained`` seconds of training are not counted yet."""
        if self.shard.rank:
            return
        seconds = {**self.seconds, "train": self.seconds["train"] + trained}
        state = {"best": vars(self.best), "seconds": seconds, "started": self.started}
        records = {"rungs": self.rungs, "stages": self.stages}
        dumped = {name: [one.model_dump() for one in some] for name, some in records.items()}
        trainer.save(self.folder.checkpoints, {**state, **dumped})

    def _measure_selection(self, trainer: Trainer) -> DatasetResult | None:
        data = self.workshop.data(self.experiment.data)
        tokens = self.workshop.task_tokens(self.experiment, data.selection)
        shard = self.shard
        measured = measure(trainer.encoder, tokens, device=self.device, rank=shard.rank, workers=shard.workers)
        return measured[0] if measured else None

    def _see_if_best(self, trainer: Trainer, rung: Rung | None) -> None:
        stopping = self.settings.early_stopping
        if stopping is None:
            return
        objective = self.experiment.search.objectives[0]
        seen = rung.summary.get(objective.metric, math.nan) if rung else 0.0
        value = torch.tensor([seen], dtype=torch.float64, device=self.device)
        if self.shard.workers > 1:
            torch.distributed.broadcast(value, src=0)  # so that all workers stop at the same step
        if self.best.see(trainer.step, float(value), objective, stopping) and self.shard.rank == 0:
            atomic.remove_abandoned_drafts(self.folder.best_weights)
            with atomic.folder_written_whole(self.folder.best_weights) as draft:
                write_tensors(trainer.model.state_dict(), draft / "model.safetensors")

    def _waited_enough(self) -> bool:
        stopping = self.settings.early_stopping
        return stopping is not None and self.best.waited >= stopping.patience

    def _complete(self, trainer: Trainer) -> TrialResult:
        if self.best.step is not None and self.best.step != trainer.step:
            again = f"delete this folder and {self.folder.checkpoints.name} beside it, then run `hybridbatch resume`: "
            again += "the trial starts again from its first step"
            load_weights(self.folder.best_weights / "model.safetensors", trainer.model, mend=again)
        trainer.part.ends()
        start = time.perf_counter()
        for task in self.workshop.data(self.experiment.data).report:
            self.progress.update(force=True, phase="reporting")
            tokens = self.workshop.task_tokens(self.experiment, task)
            shard = self.shard
            measured = measure(trainer.encoder, tokens, device=self.device, rank=shard.rank, workers=shard.workers)
            if measured is not None:
                self.report[task.name], scores = measured
                write_scores(scores, self.folder.scores(task.name))
        self.seconds["evaluate"] += time.perf_counter() - start
        if self.shard.rank == 0:
            self._save_model(trainer)
        return self.result("complete", None)

    def _save_model(self, trainer: Trainer) -> None:
        from hybridbatch.backbones.encoders.pretrained import save_encoder

        tokenizer, _ = self.workshop.tokenizer(self.experiment)
        sides = ("question_prefix", "passage_prefix", "question_tokens", "passage_tokens")
        note = {side: getattr(self.experiment.backbone, side) for side in sides}
        save_encoder(trainer.part.whole(), tokenizer, note, self.folder.model)

    def _pruned(self) -> TrialResult:
        step = self.trainer.step if self.trainer else 0
        return self.result("pruned", f"not among the best at step {step}")

    def result(self, state: TrialState, reason: str | None) -> TrialResult:
        """Return the result of the trial as it stands."""
        trainer, spec = self.trainer, self.spec
        steps = trainer.step if trainer else 0
        best_step = self.best.step or steps
        kept = next((rung for rung in self.rungs if rung.step == best_step), None)
        objectives = self.experiment.search.objectives
        values = None
        if state == "complete" and kept:
            values = tuple(kept.summary.get(one.metric, math.nan) for one in objectives)
        return TrialResult(
            study=spec.study,
            number=spec.number,
            baseline=spec.baseline,
            replicate_of=spec.replicate_of,
            params=spec.params,
            state=state,
            reason=reason,
            values=values,
            seed=self.settings.seed,
            steps=steps,
            best_step=best_step,
            rungs=tuple(self.rungs),
            report=self.report,
            mixture=trainer.mixture_so_far() if trainer else Mixture(batches={}, datasets={}, pairs={}),
            halvings=tuple(trainer.halvings) if trainer else (),
            stages=self.stages,
            seconds={**self.seconds, "total": sum(self.seconds.values())},
            provenance=self._provenance(),
            leakage=self.workshop.data(self.experiment.data).leakage,
            started=self.started,
            first_step=self.first_step,
            finished=_now(),
        )

    def result_of_failure(self, error: Exception) -> TrialResult:
        """Return the result of a trial that failed in this worker, which need not be the one that keeps the rungs."""
        checkpoint = newest_checkpoint(self.folder.checkpoints)
        if self.shard.rank and self.trainer and checkpoint is not None:
            self._go_back_to(checkpoint, self.trainer)
        if isinstance(error, torch.OutOfMemoryError):
            error = _out_of_memory(error)
        reason = error.render() if isinstance(error, HybridBatchError) else f"{type(error).__name__}: {error}"
        return self.result("failed", reason)

    def is_first_loss_of_the_accelerator(self) -> bool:
        """Return whether the trial may be tried again with a fresh accelerator; the second time it is its own fault.

        Each worker counts for itself: all of them may meet it in one attempt.
        """
        mark = self.folder.accelerator_lost(self.shard.rank)
        first = not mark.exists()
        mark.touch()
        return first

    def write(self, result: TrialResult) -> TrialResult:
        """Write the outcome, drop what only an unfinished trial needs, and return the outcome that stands."""
        self.folder.write_curve(tuple(self.curve))
        standing = self.folder.write_result(result)
        self.folder.remove_what_only_a_running_trial_needs()
        return standing

    def _provenance(self) -> dict[str, Any]:
        data = self.workshop.data(self.experiment.data).fingerprints()
        _, tokenizer = self.workshop.tokenizer(self.experiment)
        made = {"threads": self.settings.threads, "workers": self.shard.workers, "device": self.device}
        backbone = self.workshop.backbone(self.experiment).provenance()
        used = {"data": data, "tokenizer": tokenizer, "backbone": backbone, "arms": self.arms}
        negatives = self.trainer and self.trainer.objective.negatives
        more = {"hard_negatives": negatives.record()} if negatives else {}
        return {**provenance(), **used, **more, **made}


def _out_of_memory(error: Exception) -> OneWorkerError:
    """Return what is said where memory runs out outside the encoder, which takes its texts in parts that fit."""
    return OneWorkerError(
        "the accelerator's memory is too small, whatever the parts of a batch",
        path="training, backbone",
        seen=first_line(error),
        remedy="take training.trim_vocabulary, training.lora or a smaller backbone, "
        "or a smaller batches.size where there are many hard negatives",
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
