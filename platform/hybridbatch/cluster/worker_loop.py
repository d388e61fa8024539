"""What every Ray Train worker of a warm group does: take a trial from the mailbox, run it, take the next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train

from hybridbatch.foundation.errors import HybridBatchError
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import Rung

if TYPE_CHECKING:
    from hybridbatch.training.workshop import Workshop


@dataclass(frozen=True)
class _Verdicts:
    mailbox: Any
    version: int

    def report(self, step: int, rung: Rung | None) -> bool:
        """Ask through the mailbox; blocks until the ledger has decided."""
        text = None if rung is None else rung.model_dump_json()
        return bool(ray.get(self.mailbox.report.remote(self.version, step, text)))


def serve_trials(config: dict[str, Any]) -> None:
    """Run trials until the mailbox is closed: the train loop of a warm group.

    Args:
        config: ``mailbox`` and ``reclaimer`` (actors), ``home`` and ``data_root`` (folders).
    """
    from hybridbatch.training.workshop import Workshop

    mailbox, home = config["mailbox"], HomeFolder(Path(config["home"]))
    workshop = Workshop(DataLocation(Path(config["data_root"]), home.cache))
    seen = 0
    if ray.train.get_context().get_world_rank() == 0:
        config["reclaimer"].watch.remote(mailbox, ray.util.get_current_placement_group())
    while (given := ray.get(mailbox.next_job.remote(seen))) is not None:
        seen, job = given
        try:
            finished = _run(workshop, home, job, _Verdicts(mailbox, seen))
        except HybridBatchError as error:
            # No trial can run before the user has mended this: the driver stops and shows it.
            ray.get(mailbox.say.remote(seen, {"fault": error}))
            continue
        if finished:
            ray.get(mailbox.say.remote(seen, {"finished": True}))


def _run(workshop: Workshop, home: HomeFolder, job: dict[str, Any], verdicts: _Verdicts) -> bool:
    """Run one trial; return whether this worker is the first, which wrote the result."""
    from hybridbatch.training.losses import Shard
    from hybridbatch.training.trial import run_trial

    folder = home.study(job["study"]).trial(job["number"])
    if folder.read_result() is None:
        context = ray.train.get_context()
        shard = Shard(context.get_world_rank(), context.get_world_size())
        spec = folder.read_spec()
        device = "cpu"
        if spec.experiment.resources.gpus_per_worker > 0:
            device = str(ray.train.torch.get_device())
        return run_trial(spec, folder, workshop, verdicts, shard=shard, device=device) is not None
    return bool(ray.train.get_context().get_world_rank() == 0)  # finished before the group was restarted
