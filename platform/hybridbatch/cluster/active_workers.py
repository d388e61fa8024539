"""Which workers of a group take part in a trial: an elastic group may have more than can share a batch evenly."""

from __future__ import annotations

from torch import distributed

from hybridbatch.training.losses import Shard


class ActiveWorkers:
    """Keeps torch's process group to those workers that take part in the current trial.

    Ray Train makes one of all its workers. Those that are left over leave it and wait for the next trial.

    Args:
        rank: This worker.
        present: All workers of the group.
    """

    def __init__(self, rank: int, present: int) -> None:
        self._rank, self._active = rank, present
        if present > 1:
            self._backend = distributed.get_backend()
            self._store = distributed.distributed_c10d._get_default_store()  # kept: it outlives the group

    def take(self, active: int, version: int) -> Shard | None:
        """Let the first ``active`` workers take part; return this one's part, or None when it has none.

        Args:
            active: The same on every worker.
            version: Number of the trial in this group's life, the same on every worker.
        """
        if active != self._active:
            if distributed.is_initialized():
                distributed.destroy_process_group()
            if active > 1 and self._rank < active:
                distributed.init_process_group(
                    self._backend,
                    store=distributed.distributed_c10d.PrefixStore(f"trial-{version}", self._store),
                    rank=self._rank,
                    world_size=active,
                )
            self._active = active
        return Shard(self._rank, active) if self._rank < active else None
