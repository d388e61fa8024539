"""The optimizer steps of a stage: AdamW from its newest checkpoint on, the same from any of them."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hybridbatch.foundation.errors import TrialError, UserError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.experiment import Training
from hybridbatch.training.arm import StageWork, memory_of
from hybridbatch.training.checkpoints import load_checkpoint, newest_checkpoint, save_checkpoint
from hybridbatch.training.optimization import make_optimizer, set_learning_rates

_log = logging.getLogger(__name__)
_POINTS_OF_CURVE = 100
_SHARE_OF_CHECKPOINTS = 0.05  # of the time


class StageLoop:
    """Trains the parameters of a module that ask for gradients.

    Args:
        name: Name of the arm, for messages and seeds.
        module: What is trained; checkpoints hold all of it.
        settings: Steps, learning rate and the like.
        device: Where it is trained.
        work: Where checkpoints lie, and who is told.
    """

    def __init__(self, name: str, module: nn.Module, settings: Training, device: str, work: StageWork) -> None:
        self._name, self._module, self._settings, self._device, self._work = name, module, settings, device, work
        self._optimizer = make_optimizer(module, settings)
        self._losses: list[tuple[int, float]] = []

    def run(self, backward: Callable[[int], Tensor]) -> list[tuple[int, float]]:
        """Do all steps; return steps done and the mean loss since the entry before.

        Args:
            backward: Adds the gradients of a step, whose number it is given; returns the loss, detached.

        Raises:
            TrialError: If the loss or a gradient is not finite, or memory runs out.
        """
        settings, module = self._settings, self._module
        step = since = self._go_back()
        recent, saved, cost = torch.zeros((), device=self._device), time.perf_counter(), 0.0
        every = max(1, settings.steps // _POINTS_OF_CURVE)
        while step < settings.steps:
            set_learning_rates(self._optimizer, step, settings)
            torch.manual_seed(derive_seed(settings.seed, self._name, step))
            with memory_of(f"arms.{self._name}"):
                recent = recent + backward(step)
            norm = nn.utils.clip_grad_norm_(module.parameters(), settings.clip_norm or math.inf)
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
            step += 1
            if step % every == 0 or step == settings.steps:
                self._losses.append((step, self._finite(recent / (step - since), norm, step)))
                self._work.told(*self._losses[-1])
                recent, since = torch.zeros_like(recent), step
                begin = time.perf_counter()
                if begin - saved >= cost / _SHARE_OF_CHECKPOINTS:
                    self._save(step)
                    saved = time.perf_counter()
                    cost = saved - begin
        return self._losses

    def _finite(self, loss: Tensor, norm: Tensor, step: int) -> float:
        if not bool(torch.isfinite(loss) & torch.isfinite(norm)):
            raise TrialError(
                f"the loss or the gradient of this stage is not finite up to step {step}",
                path=f"arms.{self._name}",
                seen=f"learning_rate={self._settings.learning_rate:g}",
                remedy="likely causes: a learning rate too high, or weights that were not finite to begin with",
            )
        return float(loss)

    def _save(self, step: int) -> None:
        save_checkpoint(self._work.checkpoints, step, self._module, self._optimizer, {"losses": self._losses})

    def _go_back(self) -> int:
        """Return the steps of the newest checkpoint that is whole; 0 for none."""
        while (checkpoint := newest_checkpoint(self._work.checkpoints)) is not None:
            try:
                state = load_checkpoint(checkpoint, self._module, self._optimizer)
            except UserError as error:  # it can be made again
                _log.warning("%s: %s; going on from the one before", checkpoint, error.problem)
                shutil.rmtree(checkpoint)
                continue
            self._losses = [(int(step), float(loss)) for step, loss in state["losses"]]
            return int(state["step"])
        return 0


def settings_of_stage(
    training: Training, *, steps: int, learning_rate: float, warmup: float, weight_decay: float = 0.01
) -> Training:
    """Return how a stage of the trial ``training`` is trained: its seed, threads and precision, the rest its own."""
    return Training(
        steps=steps,
        learning_rate=learning_rate,
        warmup=warmup,
        weight_decay=weight_decay,
        seed=training.seed,
        threads=training.threads,
        precision=training.precision,
    )
