"""The mean of the losses of some steps, kept where they were computed, and kept exactly in a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
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

    def mean(self, number: Callable[[Tensor], float]) -> float:
        """Return the mean since the last call, 0 without a step; ``number`` brings the sum from the device."""
        mean = number(self._sum) / max(1, self._steps)
        self._sum, self._steps = torch.zeros_like(self._sum), 0
        return mean

    def state(self) -> dict[str, Any]:
        """Return what :meth:`load` goes on from. A number that is not finite is none that training goes on from."""
        total = float(self._sum)
        return {"sum": total if torch.isfinite(self._sum) else 0.0, "steps": self._steps}

    def load(self, state: dict[str, Any] | None) -> None:
        """Go on from ``state``; from nothing when it is None."""
        state = state or {"sum": 0.0, "steps": 0}
        self._sum, self._steps = torch.full_like(self._sum, state["sum"]), int(state["steps"])
