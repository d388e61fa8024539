"""One of two workers of which the second alone has little memory: ``python -m tests.tight_worker RANK WORKERS FOLDER``.

The folder holds the data and cache of the small study; what each came to is written there for the test to compare.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from tests.small_study import experiment
from torch import Tensor, distributed

from hybridbatch.foundation import atomic
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.losses import Shard
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.workshop import Workshop

ROOM = 40  # tokens whose states the second worker has room for


def main(rank: int, workers: int, folder: Path) -> None:
    """Take part in the training, and write the losses and how small the parts of this worker became."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting-point", rank=rank, world_size=workers)
    workshop = Workshop(DataLocation(folder / "data", folder / "cache"))
    trainer = Trainer(experiment({"training.steps": 4}), workshop, Shard(rank, workers), "cpu")
    whole = trainer.gradients._encode

    def encode(ids: Tensor, *more: Any) -> Tensor:
        if ids.numel() > ROOM and rank == 1 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return whole(ids, *more)

    trainer.gradients._encode = encode
    losses: list[float] = []
    for step in (2, 4):
        trainer.train_until(step, lambda point: losses.append(point.loss))
    halvings = [halving.model_dump() for halving in trainer.halvings]
    found = {"losses": losses, "halvings": halvings, "most_tokens": trainer.gradients.most_tokens}
    atomic.write_json(folder / f"tight-{rank}.json", found)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
