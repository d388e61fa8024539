"""One trial of the small study, without search: a workshop over its data, and trials run in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.small_study import experiment, write_data

from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import TrialFolder
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import Rung, TrialResult, TrialSpec
from hybridbatch.training.losses import Shard
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.trial import run_trial
from hybridbatch.training.workshop import Workshop


class InterruptedTrialError(Exception):
    """What ends a trial in the middle, as ``kill -9`` does: nothing of the platform catches it."""


@dataclass
class Rungs:
    """Verdicts that let a trial go on, except as told."""

    interrupt_at: int | None = None
    prune_at: int | None = None
    seen: list[Rung] = field(default_factory=list)
    noticed: bool = False

    def notice(self) -> bool:
        """Return what the test wants."""
        return self.noticed

    def report(self, step: int, rung: Rung | None) -> bool:
        """Take note of a rung."""
        if rung is not None:
            self.seen.append(rung)
        if step == self.interrupt_at:
            raise InterruptedTrialError
        return step != self.prune_at


def make_workshop(folder: Path) -> Workshop:
    """Return a workshop over the data of the small study, written into ``folder``."""
    return Workshop(DataLocation(write_data(folder / "data"), folder / "cache"))


def make_trainer(workshop: Workshop, changes: dict[str, Any] | None = None) -> Trainer:
    """Return a trainer of the small study with ``changes`` (dotted path -> value)."""
    return Trainer(experiment(changes), workshop, Shard(), "cpu")


def spec_of(made: Experiment, number: int = 0) -> TrialSpec:
    """Return a trial that does what the experiment says."""
    return TrialSpec(study=made.name, number=number, params={}, baseline=None, experiment=made)


def run(
    workshop: Workshop, folder: Path, changes: dict[str, Any] | None = None, verdicts: Rungs | None = None
) -> TrialResult:
    """Run a trial of the small study with ``changes`` in ``folder``."""
    trial = TrialFolder(folder / "00000")
    result = run_trial(spec_of(experiment(changes)), trial, workshop, verdicts or Rungs())
    assert result is not None
    return result
