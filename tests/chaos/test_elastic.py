"""An elastic trial takes the workers there are: fewer when a node is lost, more when it is back; its batches stay."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.local_cluster import IN_CLUSTER, LocalCluster
from tests.chaos.world import kill_tree
from tests.small_study import experiment, write_file
from tests.study_fixtures import Watcher

from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.attempts import Attempts, repeated_steps
from hybridbatch.spec.folders import HomeFolder, TrialFolder
from hybridbatch.training.progress import read_progress

STEPS, INTERVAL = 12_000, 500
CHANGES: dict[str, Any] = {
    "batches.size": 6,
    "backbone.dropout": 0.0,
    # Rounding differs with the number of workers; at this rate it is not made larger from step to step.
    "training": {"steps": STEPS, "learning_rate": 1e-6, "evaluate_every": INTERVAL},
    "search.baselines": {},
    "search.trials": 1,
}
PATIENCE = 600.0  # seconds


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster(tmp_path / "cluster")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def wait_until(happened: Callable[[], bool], driver: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert driver.poll() is None, f"the driver ended too early: {log.read_text(encoding='utf-8')}"
        assert time.monotonic() < end, f"nothing happened in time: {log.read_text(encoding='utf-8')}"
        time.sleep(0.2)


def step_of(folder: TrialFolder) -> int:
    now = read_progress(folder.progress)
    return now.step if now is not None else 0


@pytest.mark.ray
@pytest.mark.timeout(2400)
def test_a_trial_shrinks_and_grows_with_the_cluster(
    nodes: LocalCluster, home: HomeFolder, small_data: Path, tmp_path: Path
) -> None:
    file = write_file(tmp_path, {**CHANGES, "resources": {"workers": [1, 3]}})
    trial, log = home.study("small").trial(0), tmp_path / "driver.log"
    command_line = [sys.executable, "-c", "from hybridbatch.cli import main; main()"]
    with log.open("wb") as output:
        driver = subprocess.Popen(
            [*command_line, "run", str(file), "--home", str(home.path), "--address", nodes.address],
            env={**os.environ, **IN_CLUSTER, "HYBRIDBATCH_DATA": str(small_data)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(lambda: step_of(trial) > INTERVAL, driver, log)
        nodes.nodes[0].kill()
        lost_at = step_of(trial)
        wait_until(lambda: step_of(trial) > lost_at + INTERVAL, driver, log)  # with fewer workers
        nodes.nodes[0].start()
        assert driver.wait(PATIENCE) == 0, log.read_text(encoding="utf-8")
    finally:
        kill_tree(driver.pid)
        driver.wait(30)
    check_attempts(trial.read_attempts())
    check_batches(trial, small_data, tmp_path)


def check_attempts(made: Attempts) -> None:
    assert [one.cause for one in made] == ["worker_lost", "resized", "finished"]
    assert made[1].detail == "from 2 to 3 workers"
    assert repeated_steps(made) <= 2 * INTERVAL


def check_batches(trial: TrialFolder, data: Path, folder: Path) -> None:
    """Check that the trial had the batches of one worker, each once."""
    session = StudySession(experiment(CHANGES), HomeFolder(folder / "alone"), data, None, Watcher())
    run_local(session)
    session.close()
    mine, alone = trial.read_result(), session.folder.trial(0).read_result()
    assert mine is not None
    assert alone is not None
    assert mine.mixture == alone.mixture
    assert [rung.step for rung in mine.rungs] == list(range(INTERVAL, STEPS + 1, INTERVAL))
    assert [rung.train_loss for rung in mine.rungs] == pytest.approx(
        [rung.train_loss for rung in alone.rungs], abs=1e-5
    )
