"""The optimizer steps of one trial.

Shape legend: R texts of this worker, D width of the embedding.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridbatch.batching.mixture import MixtureCount
from hybridbatch.batching.plan import BatchPlan
from hybridbatch.foundation.errors import TrialError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.trial import CurvePoint, Halving, Mixture
from hybridbatch.training.arm import ArmContext
from hybridbatch.training.checkpoints import load_checkpoint, save_checkpoint
from hybridbatch.training.dual_encoder import DualEncoder
from hybridbatch.training.embedding_gradients import EmbeddingGradients
from hybridbatch.training.gathering import average_gradients, copy_from_first
from hybridbatch.training.input_pipeline import InputPipeline
from hybridbatch.training.loss_sum import LossSum
from hybridbatch.training.losses import Shard
from hybridbatch.training.objective import Objective
from hybridbatch.training.optimization import learning_rate, make_optimizer, set_learning_rates
from hybridbatch.training.precision import computing
from hybridbatch.training.progress import Progress
from hybridbatch.training.stages import run_stages
from hybridbatch.training.trained_part import TrainedPart
from hybridbatch.training.workshop import Workshop

_NO_LIMIT = torch.iinfo(torch.int64).max  # tokens of a part
_POINTS_OF_CURVE = 200  # enough for a smooth picture of any length
_NOTICED_LATER = 2  # steps


class Trainer:
    """Trains one encoder; the same from any checkpoint, to the bit on a CPU.

    Every pass of the encoder seeds the generator from (seed, step, worker, pass) and every batch is planned, so that
    the step number is all the randomness there is to restore.

    Args:
        experiment: The experiment of the trial.
        workshop: What trials share.
        shard: Which part of each global batch is this worker's.
        device: Where to train.
        told: Called with how far the stages before the first step are.

    Attributes:
        stages: What was trained before the first step.
    """

    def __init__(
        self,
        experiment: Experiment,
        workshop: Workshop,
        shard: Shard,
        device: str,
        told: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        settings = experiment.training
        self.experiment, self.shard, self.device = experiment, shard, device
        torch.set_num_threads(settings.threads)
        encoder = workshop.encoder(experiment)  # before the texts: it says in no time which lengths it takes
        encoder.to(device)
        if settings.gradient_checkpointing:
            encoder.compute_states_again()
        context = ArmContext(experiment, workshop, shard, device)
        self.stages = run_stages(encoder, context, told)
        self.part = TrainedPart(encoder, experiment, workshop)
        self.model = DualEncoder(encoder, experiment.loss.temperature, experiment.loss.learn_temperature).to(device)
        copy_from_first(self.model.state_dict().values(), shard.workers)
        packed = encoder.can_pack and not settings.compile  # which would compile anew for every batch
        if packed:
            encoder.attend_within_texts()
        self.optimizer = make_optimizer(self.model, settings)
        pair_sets = workshop.data(experiment.data).pair_sets
        self.plan = BatchPlan(
            pair_sets,
            size=experiment.batches.size,
            mix=experiment.batches.mix,
            size_exponent=experiment.data.size_exponent,
            seed=settings.seed,
        )
        self.objective = Objective(context, self.model)
        # Nothing below may refer to the trainer: what it holds has to go with it, not with a later garbage collection.
        self._computing = partial(computing, settings, device)
        self.gradients = gradients = EmbeddingGradients(
            _compiled(encoder) if settings.compile else encoder,
            [parameter for parameter in encoder.parameters() if parameter.requires_grad],
            computing=self._computing,
            most_tokens=None if settings.chunk_tokens == "auto" else settings.chunk_tokens,
        )
        self.step = 0
        self.mixture = MixtureCount(pair_sets)
        self.curve: list[CurvePoint] = []
        self.halvings: list[Halving] = []
        self._since_rung, self._since_point = LossSum(device), LossSum(device)
        self._terms = defaultdict[str, LossSum](lambda: LossSum(device))  # of this worker, since the last point
        self._notices: deque[Tensor | bool] = deque()
        self._saved_on_notice = False
        self._bad_loss = self._bad_gradient = torch.tensor(-1, device=device)
        self._input = InputPipeline(
            self.plan,
            self.objective.texts,
            self.objective.keys,
            shard,
            device,
            packed,
            lambda: gradients.most_tokens,
        )

    @property
    def encoder(self) -> nn.Module:
        """The encoder being trained."""
        return self.model.encoder

    def train_until(
        self,
        step: int,
        told: Callable[[CurvePoint], None],
        noticed: Callable[[], bool] = lambda: False,
        save: Callable[[], None] = lambda: None,
    ) -> float:
        """Train up to ``step`` steps in all; return the mean loss of the steps since it was called last.

        Args:
            step: Steps to have done in the end.
            told: Called with the newest point of the curve now and then.
            noticed: Whether this worker may soon be no more; when it says so on any worker, ``save`` is called once, on
                all of them after the same step.
            save: Writes a checkpoint.

        Raises:
            TrialError: If the loss or a weight is not finite, or not even one text fits into memory.
        """
        self.model.train()
        every = max(1, self.experiment.training.steps // _POINTS_OF_CURVE)
        begin, waited, begun = time.perf_counter(), self._input.waited, self.step
        while self.step < step:
            loss, leaving = self._one_step(last=self.step + 1 == step, noticed=noticed())
            self._since_rung.add(loss)
            self._since_point.add(loss)
            for name, value in self.objective.take_terms().items():
                self._terms[name].add(value)
            if self.step % every == 0 or self.step == step:
                mean = self._mean(self._since_point)  # an accelerator has done its steps only now
                seconds = max(time.perf_counter() - begin, 1e-9)
                point = CurvePoint(
                    step=self.step,
                    loss=mean,
                    learning_rate=learning_rate(self.step - 1, self.experiment.training),
                    temperature=float(self.model.temperature.detach()),
                    pairs_per_second=(self.step - begun) * self.plan.size / seconds,
                    waited=(self._input.waited - waited) / seconds,
                    terms=self._terms_since_point(),
                )
                self.curve.append(point)
                told(point)
                begin, waited, begun = time.perf_counter(), self._input.waited, self.step
            if leaving and not self._saved_on_notice and self.step < step:
                self._saved_on_notice = True
                self._check_finite()  # a checkpoint knows of no step before it that was not
                for one in self._terms.values():  # of this worker so far: the first saves for all
                    one.share(self.shard.workers)
                save()
        mean = self._mean(self._since_rung)
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.model.parameters()):
            raise self._not_finite("a weight is", self.step - 1)
        self._agree_on_parts()
        return mean

    def _one_step(self, *, last: bool, noticed: bool) -> tuple[Tensor, bool]:
        """Take one step; return the mean loss over all workers, and whether any worker had noticed two steps before."""
        settings = self.experiment.training
        prepared = self._input.step(self.step, last=last)
        self.mixture.add(prepared.step.batch)
        set_learning_rates(self.optimizer, self.step, settings)
        before = self.gradients.most_tokens
        loss = self.gradients.backward(
            prepared.passes,
            lambda leaf_RD: self.objective.loss(leaf_RD, prepared),
            partial(_seed_pass, settings.seed, self.step, self.shard.rank),
        )
        if self.gradients.most_tokens != before:
            self.halvings.append(Halving(step=self.step, chunk_tokens=self.gradients.most_tokens or 0))
        loss = loss + self.objective.backward_of_state_terms(self.step, self._computing)
        average_gradients(self.model.parameters(), self.shard.workers)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm or math.inf)
        self.optimizer.step()
        self.model.bound_temperature()
        self.optimizer.zero_grad(set_to_none=True)
        detached, any_noticed = self._over_workers(loss, noticed)
        self._bad_loss = self._first(self._bad_loss, detached)
        self._bad_gradient = self._first(self._bad_gradient, norm)
        self.step += 1
        self._notices.append(any_noticed)
        # An accelerator has done the step before the last one by now: asking for this step's would make it wait.
        leaving = len(self._notices) > _NOTICED_LATER and bool(self._notices.popleft())
        return detached, leaving

    def _agree_on_parts(self) -> None:
        """Take the smallest parts that any worker has come to: what the first records and restores then holds for all.

        Each halves its parts by itself, since the others are on their way to the loss.
        """
        if self.shard.workers == 1:
            return
        mine = self.gradients.most_tokens
        smallest = torch.tensor(_NO_LIMIT if mine is None else mine, device=self.device)
        torch.distributed.all_reduce(smallest, torch.distributed.ReduceOp.MIN)
        if int(smallest) < (_NO_LIMIT if mine is None else mine):
            self.gradients.most_tokens = int(smallest)
            self.halvings.append(Halving(step=self.step - 1, chunk_tokens=int(smallest)))

    def _first(self, known: Tensor, value: Tensor) -> Tensor:
        """Return the first step whose value was not finite, -1 for none.

        It stays on the device: asking for it at every step would make an accelerator wait.
        """
        return torch.where((known < 0) & ~torch.isfinite(value), self.step, known)

    def _over_workers(self, loss: Tensor, noticed: bool) -> tuple[Tensor, Tensor | bool]:
        """Return the mean loss over all workers, and whether any of them has noticed."""
        if self.shard.workers == 1:
            return loss, noticed
        both = self._mean_over_workers(torch.stack([loss, loss.new_tensor(float(noticed))]))
        return both[0], both[1] > 0

    def _mean_over_workers(self, values: Tensor) -> Tensor:
        if self.shard.workers == 1:
            return values
        torch.distributed.all_reduce(values)
        return values / self.shard.workers

    def _terms_since_point(self) -> dict[str, float]:
        taken = {name: one.take() for name, one in self._terms.items()}
        if not taken:
            return {}
        means = self._mean_over_workers(torch.stack([total / steps for total, steps in taken.values()]))
        return dict(zip(taken, means.tolist(), strict=True))

    def _mean(self, losses: LossSum) -> float:
        """Return the mean of losses, and begin anew."""
        self._check_finite()
        total, steps = losses.take()
        return float(total) / max(1, steps)

    def _check_finite(self) -> None:
        loss, gradient = int(self._bad_loss), int(self._bad_gradient)
        if loss >= 0 and (gradient < 0 or loss <= gradient):
            raise self._not_finite("the loss is", loss)
        if gradient >= 0:
            raise self._not_finite("the gradient is", gradient)

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
        halvings = [halving.model_dump() for halving in self.halvings]
        content = {**state, "mixture": self.mixture_so_far().model_dump(), "curve": curve, "halvings": halvings}
        content["losses"] = {"rung": self._since_rung.state(), "point": self._since_point.state()}
        content["terms"] = {name: one.state() for name, one in self._terms.items()}
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
        self.halvings = [Halving.model_validate(halving) for halving in state.get("halvings", [])]  # none in older ones
        losses = state.get("losses", {})  # none in older ones, which were written at rungs alone
        self._since_rung.load(losses.get("rung"))
        self._since_point.load(losses.get("point"))
        for name, one in state.get("terms", {}).items():
            self._terms[name].load(one)
        if self.halvings:
            self.gradients.most_tokens = self.halvings[-1].chunk_tokens
        return state


def _seed_pass(seed: int, step: int, rank: int, number: int) -> None:
    torch.manual_seed(derive_seed(seed, "step", step, rank, "pass", number))


def _compiled(encoder: nn.Module) -> Any:
    # Anew for every trial: what another trial left in this process has its kernels chosen for other lengths, and after
    # eight sorts of encoders (searched dropouts, say) torch compiles no more and says so only in a warning.
    torch.compiler.reset()
    return torch.compile(encoder, dynamic=True)
