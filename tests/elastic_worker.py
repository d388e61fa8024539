"""One of several workers of which not all take part: ``python -m tests.elastic_worker RANK WORKERS STORE COUNT...``.

Each count is that of the workers that take part in a trial; those add up their ranks plus one, by gloo.
"""

from __future__ import annotations

import sys

import torch
from torch import distributed

from hybridbatch.cluster.active_workers import ActiveWorkers
from hybridbatch.training.losses import Shard


def main(rank: int, workers: int, store: str, counts: list[int]) -> None:
    """Take part where one is wanted, and check that nobody else does."""
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=workers)
    active = ActiveWorkers(rank, workers)
    for version, count in enumerate(counts):
        shard = active.take(count, version)
        assert shard == (Shard(rank, count) if rank < count else None)
        if shard is not None and count > 1:
            total = torch.tensor(rank + 1)
            distributed.all_reduce(total)
            assert total.item() == count * (count + 1) / 2, f"trial {version}: {total.item()}"
        assert distributed.is_initialized() == (shard is not None and count > 1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], [int(count) for count in sys.argv[4:]])
