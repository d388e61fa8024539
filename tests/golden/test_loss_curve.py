"""Golden loss curves: a change of the code that is not meant to change training must keep them.

After a change that is meant to: ``pytest tests/golden --update-golden``, and say why in the commit.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tiny_trial import make_trainer

from hybridbatch.foundation import atomic
from hybridbatch.training.workshop import Workshop

CURVES = Path(__file__).with_name("loss_curves.json")
STEPS = 30
MIXES = {
    "monolingual": {"monolingual": 1.0},
    "crosslingual": {"crosslingual": 1.0},
    "hybrid": {"monolingual": 0.5, "crosslingual": 0.5},
}


def curve(workshop: Workshop, mix: dict[str, float]) -> list[float]:
    changes = {
        "batches.mix": mix,
        "backbone.dropout": 0.1,
        "loss.learn_temperature": True,
        "training.steps": STEPS,
        "training.learning_rate": 0.001,
        "training.seed": 7,
    }
    losses: list[float] = []
    make_trainer(workshop, changes).train_until(STEPS, lambda point: losses.append(point.loss))
    return losses


@pytest.mark.parametrize("name", MIXES)
def test_the_loss_curve_is_the_golden_one(workshop: Workshop, name: str, request: pytest.FixtureRequest):
    losses = curve(workshop, MIXES[name])
    assert len(losses) == STEPS
    if request.config.getoption("--update-golden", default=False):
        golden = atomic.read_json(CURVES) if CURVES.exists() else {}
        atomic.write_json(CURVES, {**golden, name: losses})
    assert losses == pytest.approx(atomic.read_json(CURVES)[name], rel=1e-6)


def test_the_golden_curves_differ_and_fall():
    golden = atomic.read_json(CURVES)
    assert golden.keys() == MIXES.keys()
    assert len({tuple(losses) for losses in golden.values()}) == len(MIXES)
    assert all(sum(losses[-10:]) < sum(losses[:10]) for losses in golden.values())
