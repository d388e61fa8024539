"""One of two workers of a trial, the second of which meets a misfortune: at its second rung, or with notice.

``python -m tests.unfortunate_worker RANK WORKERS MISFORTUNE FOLDER``; the folder holds the data and cache of the small
study.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from tests.small_study import experiment
from tests.tiny_trial import spec_of
from torch import distributed

from hybridbatch.foundation import atomic
from hybridbatch.spec.folders import TrialFolder
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import Rung
from hybridbatch.training.broken_group import BrokenGroupError
from hybridbatch.training.losses import Shard
from hybridbatch.training.trial import run_trial
from hybridbatch.training.workshop import Workshop


class Misfortune:
    """Verdicts that always let a trial go on, were it not for what befalls the second worker."""

    def __init__(self, rank: int, kind: str) -> None:
        self.rank, self.kind, self.rungs, self.steps = rank, kind, 0, 0

    def notice(self) -> bool:
        """Know in step 5 that both are gone in step 9, where it comes with notice: the second worker alone is told."""
        self.steps += 1
        if self.kind == "noticed" and self.steps == 9:
            os._exit(9)
        return self.kind == "noticed" and self.rank == 1 and self.steps >= 5

    def report(self, step: int, rung: Rung | None) -> bool:
        """Let the trial go on, or strike."""
        self.rungs += 1
        if self.rank == 1 and self.rungs == 2 and self.kind != "noticed":
            if self.kind == "killed":
                os._exit(9)
            raise ValueError("a text of this worker alone is broken")
        return True


def main(rank: int, workers: int, kind: str, folder: Path) -> None:
    """Take part in the trial and write how it ended."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting-point", rank=rank, world_size=workers)
    workshop = Workshop(DataLocation(folder / "data", folder / "cache"))
    try:
        run_trial(
            spec_of(experiment({"training.steps": 50})),
            TrialFolder(folder / kind),
            workshop,
            Misfortune(rank, kind),
            shard=Shard(rank, workers),
        )
        end = "finished"
    except BrokenGroupError as error:
        end = str(error)
    atomic.write_json(folder / f"{kind}-{rank}.json", end)
    os._exit(0)  # as Ray Train does it: there is nobody left to say good-bye to


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
