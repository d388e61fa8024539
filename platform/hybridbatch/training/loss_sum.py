"""The mean of the losses of some steps, kept where they were computed, and kept exactly in a checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class LossSum:
    """A sum of losses on a device: asking for each of them would make an accelerator wait.

    Args:
        device: Where the losses are.
    """

    def __init__(self, device: str) -> None:
        self._sum, self._steps = torch.zeros((), device=device), 0

    def add(self, loss: Tensor) -> None:
        """Add the loss of one step."""
        self._sum, self._steps = self._sum + loss, self._steps + 1

    def take(self) -> tuple[Tensor, int]:
        """Return the sum and the number of its steps, and begin anew."""
        taken = self._sum, self._steps
        self._sum, self._steps = torch.zeros_like(self._sum), 0
        return taken

    def share(self, workers: int) -> None:
        """Put the mean over workers in place of each worker's own sum: their mean in the end stays what it would be."""
        if workers > 1:
            torch.distributed.all_reduce(self._sum)
            self._sum = self._sum / workers

    def state(self) -> dict[str, Any]:
        """Return what :meth:`load` goes on from."""
        return {"sum": float(self._sum), "steps": self._steps}

    def load(self, state: dict[str, Any] | None) -> None:
        """Go on from ``state``; from nothing when it is None."""
        state = state or {"sum": 0.0, "steps": 0}
        self._sum, self._steps = torch.full_like(self._sum, state["sum"]), int(state["steps"])
