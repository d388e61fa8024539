"""The optimizer steps of one trial.

Shape legend: B pairs of this worker, G pairs of the global batch, T tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hybridbatch.batching.mixture import MixtureCount
from hybridbatch.batching.plan import Batch, BatchPlan
from hybridbatch.foundation.errors import TrialError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.trial import CurvePoint, Mixture
from hybridbatch.training.checkpoints import load_checkpoint, save_checkpoint
from hybridbatch.training.dual_encoder import DualEncoder
from hybridbatch.training.losses import Shard, info_nce
from hybridbatch.training.optimization import learning_rate, make_optimizer
from hybridbatch.training.workshop import TokenisedPairs, Workshop

_POINTS_OF_CURVE = 200  # enough for a smooth picture of any length


class Trainer:
    """Trains one encoder; the same from any checkpoint, to the bit on a CPU.

    Every step seeds the generator from (seed, step, worker) and every batch is planned, so that the step number is all
    the randomness there is to restore.

    Args:
        experiment: The experiment of the trial.
        workshop: What trials share.
        shard: Which part of each global batch is this worker's.
        device: Where to train.
    """

    def __init__(self, experiment: Experiment, workshop: Workshop, shard: Shard, device: str) -> None:
        settings = experiment.training
        self.experiment, self.shard, self.device = experiment, shard, device
        torch.set_num_threads(settings.threads)
        encoder = workshop.encoder(experiment)  # before the texts: it says in no time which lengths it takes
        self.tokens = workshop.training_tokens(experiment)
        pair_sets = workshop.data(experiment.data).pair_sets
        self.plan = BatchPlan(
            pair_sets,
            size=experiment.batches.size,
            mix=experiment.batches.mix,
            size_exponent=experiment.data.size_exponent,
            seed=settings.seed,
        )
        self.model = DualEncoder(encoder, experiment.loss.temperature, experiment.loss.learn_temperature).to(device)
        self.optimizer = make_optimizer(self.model, settings)
        self._wrapped: nn.Module = self.model
        if shard.workers > 1:
            self._wrapped = DistributedDataParallel(self.model, broadcast_buffers=False)
        self.step = 0
        self.mixture = MixtureCount(pair_sets)
        self.curve: list[CurvePoint] = []
        self._bad_step = torch.tensor(-1, device=device)

    @property
    def encoder(self) -> nn.Module:
        """The encoder being trained."""
        return self.model.encoder

    def train_until(self, step: int, told: Callable[[CurvePoint], None]) -> float:
        """Train up to ``step`` steps in all; return the mean loss of the steps done here.

        Args:
            step: Steps to have done in the end.
            told: Called with the newest point of the curve now and then.

        Raises:
            TrialError: If the loss or a weight is not finite.
        """
        self.model.train()
        every = max(1, self.experiment.training.steps // _POINTS_OF_CURVE)
        total, recent = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        begin, since, first = time.perf_counter(), self.step, self.step
        while self.step < step:
            loss = self._one_step()
            total, recent = total + loss, recent + loss
            if self.step % every == 0 or self.step == step:
                seconds = time.perf_counter() - begin
                point = CurvePoint(
                    step=self.step,
                    loss=self._finite(recent) / (self.step - since),
                    learning_rate=learning_rate(self.step - 1, self.experiment.training),
                    temperature=float(self.model.log_temperature.detach().exp()),
                    pairs_per_second=(self.step - since) * self.plan.size / max(seconds, 1e-9),
                )
                self.curve.append(point)
                told(point)
                begin, since, recent = time.perf_counter(), self.step, torch.zeros_like(recent)
        mean = self._finite(total) / max(1, step - first)
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.model.parameters()):
            raise self._not_finite("a weight is", self.step - 1)
        return mean

    def _one_step(self) -> Tensor:
        settings = self.experiment.training
        torch.manual_seed(derive_seed(settings.seed, "step", self.step, self.shard.rank))
        batch = self.plan.batch(self.step)
        self.mixture.add(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, settings)
        texts, text_hashes_G = self._texts(batch)
        questions_BD, passages_BD, temperature = self._wrapped(*texts)
        loss = info_nce(
            questions_BD,
            passages_BD,
            temperature,
            both_directions=self.experiment.loss.directions == "both",
            text_hashes_G=text_hashes_G if self.experiment.loss.mask_equal_passages else None,
            shard=self.shard,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        detached = self._mean_over_workers(loss.detach())
        # Kept on the device: asking for the value at every step would make an accelerator wait.
        self._bad_step = torch.where((self._bad_step < 0) & ~torch.isfinite(detached), self.step, self._bad_step)
        self.step += 1
        return detached

    def _texts(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """Return ids and mask of questions and passages [B, T], and hashes of all passages' texts [G]."""
        tokens: TokenisedPairs = self.tokens[batch.dataset]
        question_rows_G = tokens.pairs.row_IL[batch.items_B, batch.question_language_B]
        passage_rows_G = tokens.pairs.row_IL[batch.items_B, batch.passage_language_B]
        own = batch.shard(self.shard.rank, self.shard.workers)
        arrays = (*tokens.questions.padded(question_rows_G[own]), *tokens.passages.padded(passage_rows_G[own]))
        hashes_G = np.asarray(tokens.passages.text_hashes_R[passage_rows_G]).view(np.int64)
        return [torch.from_numpy(array).to(self.device) for array in arrays], torch.from_numpy(hashes_G).to(self.device)

    def _mean_over_workers(self, loss: Tensor) -> Tensor:
        if self.shard.workers == 1:
            return loss
        torch.distributed.all_reduce(loss)
        return loss / self.shard.workers

    def _finite(self, loss_sum: Tensor) -> float:
        bad = int(self._bad_step)
        if bad >= 0:
            raise self._not_finite("the loss is", bad)
        return float(loss_sum)

    def _not_finite(self, what: str, step: int) -> TrialError:
        settings = self.experiment.training
        return TrialError(
            f"{what} not finite at step {step}",
            path="training, loss",
            seen=f"learning_rate={settings.learning_rate:g}, temperature={self.experiment.loss.temperature:g}, "
            f"clip_norm={settings.clip_norm}",
            remedy="likely causes: a learning rate too high, a temperature too low, no gradient clipping, "
            "or weights that were not finite to begin with",
        )

    def mixture_so_far(self) -> Mixture:
        """Return what the batches held."""
        count = self.mixture
        return Mixture(
            batches=dict(count.batches),
            datasets=dict(count.datasets),
            pairs=dict(count.pairs),
            left_out=tuple(self.plan.left_out),
        )

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Write a checkpoint of this step."""
        curve = [point.model_dump() for point in self.curve]
        content = {**state, "mixture": self.mixture_so_far().model_dump(), "curve": curve}
        save_checkpoint(folder, self.step, self.model, self.optimizer, content)

    def load(self, checkpoint: Path) -> dict[str, Any]:
        """Go back to a checkpoint; return the state it was saved with."""
        state = load_checkpoint(checkpoint, self.model, self.optimizer)
        self.step = state["step"]
        for name, counter in (
            ("batches", self.mixture.batches),
            ("datasets", self.mixture.datasets),
            ("pairs", self.mixture.pairs),
        ):
            counter.clear()
            counter.update(state["mixture"][name])
        self.curve = [CurvePoint.model_validate(point) for point in state["curve"]]
        return state
