"""On notice that its machine goes, a trial saves a checkpoint between two rungs and goes on from there to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tiny_trial import InterruptedTrialError, Rungs, run

from hybridbatch.spec.folders import TrialFolder
from hybridbatch.training.workshop import Workshop

# A point of the curve is every third step, a rung every tenth.
LONG = {"backbone.dropout": 0.3, "loss.learn_temperature": True, "training.steps": 600, "training.evaluate_every": 10}


class Leaves(Rungs):
    """Notices in one step, and is gone four steps later."""

    def __init__(self, noticed_in: int) -> None:
        super().__init__(prune_at=20)
        self.noticed_in, self.steps = noticed_in, 0

    def notice(self) -> bool:
        self.steps += 1
        if self.steps == self.noticed_in + 4:
            raise InterruptedTrialError
        return self.steps >= self.noticed_in


@pytest.mark.parametrize("noticed_in", [2, 5, 15])
def test_a_trial_saved_on_notice_ends_as_if_nothing_had_happened(workshop: Workshop, tmp_path: Path, noticed_in: int):
    whole = run(workshop, tmp_path / "whole", LONG, Rungs(prune_at=20))
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path / "parts", LONG, Leaves(noticed_in))
    folder = TrialFolder(tmp_path / "parts" / "00000")
    assert folder.newest_step() == noticed_in + 2, "once, two steps after the notice"
    verdicts = Rungs(prune_at=20)
    resumed = run(Workshop(workshop.location), tmp_path / "parts", LONG, verdicts)
    assert [rung.step for rung in verdicts.seen] == [10, 20]
    rungs = [[(rung.step, rung.train_loss, rung.summary) for rung in one.rungs] for one in (resumed, whole)]
    assert rungs[0] == rungs[1]
    assert resumed.mixture == whole.mixture
    curves = [TrialFolder(tmp_path / name / "00000").read_curve() for name in ("parts", "whole")]
    points = [[(point.step, point.loss, point.temperature) for point in curve] for curve in curves]
    assert points[0] == points[1]
    assert len(points[0]) == 8  # each third step, and the two rungs


def test_a_checkpoint_of_an_older_version_knows_no_losses_and_needs_none(workshop: Workshop, tmp_path: Path):
    from hybridbatch.training.loss_sum import LossSum

    kept = LossSum("cpu")
    kept.load(None)
    total, steps = kept.take()
    assert (float(total), steps) == (0.0, 0)
