"""A compiled encoder trains like one that is not, together with what else changes an encoder, trial after trial.

torch finds the graphs and runs them as they are: to turn them into machine code takes minutes.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.tiny_trial import make_trainer
from torch._dynamo.utils import counters

from hybridbatch.training.workshop import Workshop

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TOGETHER: dict[str, Any] = {
    "training.lora": {"rank": 2, "alpha": 8, "dropout": 0.0},
    "training.trim_vocabulary": True,
    "training.chunk_tokens": 60,
}


@pytest.fixture(autouse=True)
def graphs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module, **options: whole(module, backend="eager", **options))


def losses(workshop: Workshop, changes: dict[str, Any]) -> list[float]:
    found: list[float] = []
    make_trainer(workshop, changes).train_until(3, lambda point: found.append(point.loss))
    return found


def test_adapters_in_parts_of_a_trimmed_encoder_train_as_they_do_without(workshop: Workshop):
    compiled = losses(workshop, {**TOGETHER, "training.compile": True})
    assert compiled == pytest.approx(losses(workshop, TOGETHER), abs=1e-6)


def test_every_trial_of_a_process_is_compiled_anew(workshop: Workshop):
    for _ in range(2):
        counters.clear()
        losses(workshop, {"training.compile": True})
        assert counters["stats"]["unique_graphs"] > 0, "not what a trial before has left"
