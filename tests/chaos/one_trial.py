"""A study of one long trial on a cluster of several nodes, whose driver is watched while nodes come and go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.local_cluster import IN_CLUSTER, LocalCluster
from tests.chaos.world import kill_tree
from tests.small_study import experiment, write_file
from tests.study_fixtures import Watcher

from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder, TrialFolder
from hybridbatch.spec.trial import TrialResult
from hybridbatch.training.progress import read_progress

STEPS, INTERVAL = 5_000, 250
CHANGES: dict[str, Any] = {
    "batches.size": 6,
    "backbone.dropout": 0.0,
    # Rounding differs with the number of workers; at this rate it is not made larger from step to step.
    "training": {"steps": STEPS, "learning_rate": 1e-6, "evaluate_every": INTERVAL},
    "search.baselines": {},
    "search.trials": 1,
}
_PATIENCE = 600.0  # seconds


@dataclass
class OneTrial:
    """The trial and the driver that has it in its hands."""

    folder: TrialFolder
    driver: subprocess.Popen[bytes]
    log: Path

    @property
    def step(self) -> int:
        """How far the trial is."""
        now = read_progress(self.folder.progress)
        return now.step if now is not None else 0

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Wait while the driver works."""
        end = time.monotonic() + _PATIENCE
        while not happened():
            assert self.driver.poll() is None, f"the driver ended too early: {self._said()}"
            assert time.monotonic() < end, f"nothing happened in time: {self._said()}"
            time.sleep(0.2)

    def wait_for_the_end(self) -> None:
        """Wait until the driver has done everything."""
        assert self.driver.wait(_PATIENCE) == 0, self._said()

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def one_trial(
    cluster: LocalCluster, home: HomeFolder, data: Path, folder: Path, resources: dict[str, Any]
) -> Iterator[OneTrial]:
    """Start a driver of a study of one trial; kill it at the end, if it has not ended."""
    file = write_file(folder, {**CHANGES, "resources": resources})
    command_line = [sys.executable, "-c", "from hybridbatch.cli import main; main()"]
    log = folder / "driver.log"
    with log.open("wb") as output:
        driver = subprocess.Popen(
            [*command_line, "run", str(file), "--home", str(home.path), "--address", cluster.address],
            env={**os.environ, **IN_CLUSTER, "HYBRIDBATCH_DATA": str(data)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield OneTrial(home.study("small").trial(0), driver, log)
    finally:
        kill_tree(driver.pid)
        driver.wait(30)


def result_on_one_worker(data: Path, folder: Path) -> TrialResult:
    """Return what the same trial gives in this process, undisturbed."""
    session = StudySession(experiment(CHANGES), HomeFolder(folder / "alone"), data, None, Watcher())
    run_local(session)
    session.close()
    result = session.folder.trial(0).read_result()
    assert result is not None
    return result
