"""Two and four workers over gloo train as one does: the same global batch, the same losses, the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.gloo_worker import ARMS, ARRANGEMENTS, HARD, MIXES, PAIRS, STEPS, WIDTH, gradients, train
from tests.several_processes import run_workers
from tests.small_arms import write_files
from tests.small_study import write_listed
from tests.tiny_trial import make_workshop
from torch import Tensor

from hybridbatch.foundation import atomic
from hybridbatch.training.losses import Shard

EVERY = list(ARRANGEMENTS)
# What the others would show is shown by one of these: kinds differ in their batches, parts in the order of the sums.
SOME = {
    2: [
        *(f"{mix} whole" for mix in MIXES),
        *ARMS,
        "adapters in a trimmed encoder",
        "given whole",
        "mined cached",
        "hard negatives that are switched",
        "hybrid cached",
    ],
    4: ["multilingual cached", "hybrid whole"],
}
Trained = dict[str, tuple[list[float], dict[str, Tensor]]]


def write_data(folder: Path) -> None:
    """Write what the arrangements train on, and what their arms need, below ``folder``."""
    data = make_workshop(folder).location.root
    write_files(data)
    write_listed(data)


class Alone:
    """Losses and weights of one worker, trained when they are asked for."""

    def __init__(self, folder: Path) -> None:
        write_data(folder)
        self._folder, self._found = folder, Trained()

    def __getitem__(self, name: str) -> tuple[list[float], dict[str, Tensor]]:
        if name not in self._found:
            before = torch.get_num_threads()
            torch.set_num_threads(1)
            self._found[name] = train(self._folder, Shard(), ARRANGEMENTS[name])
            torch.set_num_threads(before)
        return self._found[name]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    return Alone(tmp_path_factory.mktemp("one-worker"))


@pytest.fixture(scope="module", params=[2, 4])
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What each of several workers wrote after their training, without its suffix."""
    folder, workers = tmp_path_factory.mktemp("workers"), request.param
    write_data(folder)
    names = EVERY if request.config.getoption("--exhaustive") else SOME[workers]
    ends, said = run_workers("tests.gloo_worker", workers, str(folder), *names)
    assert ends == [0] * workers, said
    return [folder / f"worker-{rank}" for rank in range(workers)]


def tensors(worker: Path) -> dict[str, Any]:
    return load_file(worker.with_suffix(".safetensors"))


def losses(worker: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = atomic.read_json(worker.with_suffix(".json"))
    return found


def test_losses_agree_at_every_step(together: list[Path], alone: Alone):
    of_workers = [losses(worker) for worker in together]
    assert all(one == of_workers[0] for one in of_workers), "every worker knows the mean over all"
    assert len(of_workers[0]) >= 2
    for name, found in of_workers[0].items():
        assert len(found) == STEPS
        assert found == pytest.approx(alone[name][0], abs=1e-5), name


@pytest.mark.parametrize("mix", ["multilingual", "hybrid", *HARD])
def test_parts_that_wait_change_no_loss(alone: Alone, mix: str):
    assert alone[f"{mix} cached"][0] == pytest.approx(alone[f"{mix} whole"][0], abs=1e-5)


def test_batch_kinds_and_hard_negatives_make_a_difference(alone: Alone):
    ends = {round(alone[f"{mix} whole"][0][-1], 4) for mix in (*MIXES, *HARD)}
    assert len(ends) == len(MIXES) + len(HARD)


def test_weights_agree_after_all_steps(together: list[Path], alone: Alone):
    of_workers = [tensors(worker) for worker in together]
    _, weights = alone[list(losses(together[0]))[-1]]
    for name, weight in weights.items():
        assert all(torch.equal(one[name], of_workers[0][name]) for one in of_workers), name
        if not name.endswith("attention.self.key.bias"):  # no score depends on it: its gradient is rounding alone
            assert (of_workers[0][name] - weight).abs().max() < 1e-5, name
    assert abs(weights["log_temperature"].exp().item() - 0.05) > 1e-4, "the temperature was learnt"


def test_the_gradient_of_the_gathered_loss_is_that_of_the_global_batch(together: list[Path]):
    loss, gradient = gradients(Shard())
    parts, workers = [tensors(worker) for worker in together], len(together)
    assert sum(part["made-up.loss"] for part in parts) / workers == pytest.approx(loss.item(), rel=1e-12)
    # Workers differentiate their own part; the mean over them belongs to the loss of the global batch.
    rows = torch.cat([part["made-up.gradient"][:-1] for part in parts]).reshape(PAIRS, 2 * WIDTH) / workers
    # a worker's gradients are its questions' and passages', side by side
    assert torch.allclose(rows, gradient[:-1].reshape(PAIRS, 2 * WIDTH), rtol=1e-10, atol=1e-14)
    by_temperature = sum(part["made-up.gradient"][-1] for part in parts) / workers
    assert by_temperature.item() == pytest.approx(gradient[-1].item(), rel=1e-10)
