"""Two workers over gloo train as one does: the same global batch, the same losses, the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.gloo_worker import PAIRS, STEPS, WIDTH, gradients, train
from tests.tiny_trial import make_workshop
from tests.two_processes import run_both
from torch import Tensor

from hybridbatch.foundation import atomic
from hybridbatch.training.losses import Shard

WORKERS = 2


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two workers trained."""
    folder = tmp_path_factory.mktemp("two-workers")
    make_workshop(folder)
    ends, said = run_both("tests.gloo_worker", str(WORKERS), str(folder))
    assert ends == [0] * WORKERS, said
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], dict[str, Tensor]]:
    """Losses and weights of one worker."""
    folder = tmp_path_factory.mktemp("one-worker")
    make_workshop(folder)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = train(folder, Shard())
    torch.set_num_threads(before)
    return found


def of_worker(together: Path, rank: int) -> dict[str, Any]:
    return load_file(together / f"worker-{rank}.safetensors")


def test_losses_agree_at_every_step(together: Path, alone: tuple[list[float], dict[str, Tensor]]):
    losses = [atomic.read_json(together / f"worker-{rank}.json") for rank in range(WORKERS)]
    assert losses[0] == losses[1], "every worker knows the mean over all"
    assert len(losses[0]) == STEPS
    assert losses[0] == pytest.approx(alone[0], abs=1e-5)


def test_weights_agree_after_all_steps(together: Path, alone: tuple[list[float], dict[str, Tensor]]):
    first, second = (of_worker(together, rank) for rank in range(WORKERS))
    for name, weight in alone[1].items():
        assert torch.equal(first[name], second[name]), name
        if not name.endswith("attention.self.key.bias"):  # no score depends on it: its gradient is rounding alone
            assert (first[name] - weight).abs().max() < 1e-5, name
    assert abs(alone[1]["log_temperature"].exp().item() - 0.05) > 1e-4, "the temperature was learnt"


def test_the_gradient_of_the_gathered_loss_is_that_of_the_global_batch(together: Path):
    loss, gradient = gradients(Shard())
    parts = [of_worker(together, rank) for rank in range(WORKERS)]
    assert sum(part["made-up.loss"] for part in parts) / WORKERS == pytest.approx(loss.item(), rel=1e-12)
    # Workers differentiate their own part; DDP takes the mean, which belongs to the loss of the global batch.
    rows = torch.cat([part["made-up.gradient"][:-1] for part in parts]).reshape(PAIRS, 2 * WIDTH) / WORKERS
    assert torch.allclose(rows, gradient[:-1].reshape(PAIRS, 2 * WIDTH), rtol=1e-10, atol=1e-14)
    by_temperature = sum(part["made-up.gradient"][-1] for part in parts) / WORKERS
    assert by_temperature.item() == pytest.approx(gradient[-1].item(), rel=1e-10)
