"""What every Ray Train worker of a warm group does: take a trial from the mailbox, run it, take the next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train

from hybridbatch.cluster.metric_export import Exporter, TrainingMetrics
from hybridbatch.cluster.notice import NoticeWatch
from hybridbatch.foundation.errors import HybridBatchError
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import Rung

if TYPE_CHECKING:
    from hybridbatch.cluster.active_workers import ActiveWorkers
    from hybridbatch.training.workshop import Workshop


@dataclass(frozen=True)
class _Verdicts:
    mailbox: Any
    version: int
    watch: NoticeWatch

    def notice(self) -> bool:
        """Ask Ray Train's watcher."""
        return self.watch.given()

    def report(self, step: int, rung: Rung | None) -> bool:
        """Ask through the mailbox; blocks until the ledger has decided."""
        from hybridbatch.training.broken_group import TakenAwayError

        text = None if rung is None else rung.model_dump_json()
        verdict = ray.get(self.mailbox.report.remote(self.version, step, text))
        if verdict is None:
            raise TakenAwayError
        return bool(verdict)


@dataclass(frozen=True)
class _Worker:
    """What one worker keeps from trial to trial."""

    home: HomeFolder
    workshop: Workshop
    workers: ActiveWorkers
    metrics: TrainingMetrics
    on_gpu: bool

    def run(self, job: dict[str, Any], verdicts: _Verdicts) -> bool:
        """Run one trial; return whether this worker is the first, which wrote the result."""
        from hybridbatch.training.trial import run_trial

        folder, context = self.home.study(job["study"]).trial(job["number"]), ray.train.get_context()
        if folder.read_result() is not None:  # finished before the group was restarted
            return bool(context.get_world_rank() == 0)
        spec = folder.read_spec()
        shard = self.workers.take(spec.experiment.workers_at_work(context.get_world_size()), verdicts.version)
        if shard is None:
            return False
        device, watch = str(ray.train.torch.get_device()) if self.on_gpu else "cpu", self.metrics.of(spec)
        result = run_trial(spec, folder, self.workshop, verdicts, shard=shard, device=device, watch=watch)
        return result is not None


def serve_trials(config: dict[str, Any]) -> None:
    """Run trials until the mailbox is closed: the train loop of a warm group.

    Args:
        config: ``mailbox`` (an actor), ``home`` and ``data_root`` (folders), ``on_gpu``.

    Raises:
        BrokenGroupError: If the workers cannot go on together, for Ray Train to start the group anew.
    """
    from hybridbatch.cluster.active_workers import ActiveWorkers
    from hybridbatch.training.broken_group import BrokenGroupError, TakenAwayError
    from hybridbatch.training.workshop import Workshop

    mailbox, home = config["mailbox"], HomeFolder(Path(config["home"]))
    workshop = Workshop(DataLocation(Path(config["data_root"]), home.cache))
    rank, present = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    first, seen = rank == 0, 0
    watch, metrics = NoticeWatch(mailbox if first else None), TrainingMetrics(Exporter())
    worker = _Worker(home, workshop, ActiveWorkers(rank, present), metrics, config["on_gpu"])
    if first:
        ray.get(mailbox.arrived.remote(present))
    while (given := _next_job(mailbox, seen, config["on_gpu"])) is not None:
        seen, job = given
        try:
            finished = worker.run(job, _Verdicts(mailbox, seen, watch))
        except HybridBatchError as error:
            # No trial can run before the user has mended this: the driver stops and shows it.
            ray.get(mailbox.say.remote(seen, {"fault": error}))
            continue
        except TakenAwayError:
            continue
        except BrokenGroupError:
            # Ray Train ends all workers and starts new ones, which take the current trial again from its checkpoint.
            if home.study(job["study"]).trial(job["number"]).read_result() is not None:
                ray.get(mailbox.say.remote(seen, {"finished": True}))
            raise
        if finished:
            ray.get(mailbox.say.remote(seen, {"finished": True}))
    watch.stop()


def _next_job(mailbox: Any, seen: int, on_gpu: bool) -> tuple[int, dict[str, Any]] | None:
    """Wait for the next trial, without the memory of the one before: another group may share the accelerator."""
    if on_gpu:
        import torch

        torch.cuda.empty_cache()
    given: tuple[int, dict[str, Any]] | None = ray.get(mailbox.next_job.remote(seen))
    return given
