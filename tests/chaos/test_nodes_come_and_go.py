"""Nodes that are lost, come back or are taken away with notice, under one trial."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.local_cluster import LocalCluster
from tests.chaos.one_trial import INTERVAL, STEPS, one_trial, result_on_one_worker

from hybridbatch.spec.attempts import repeated_steps
from hybridbatch.spec.folders import HomeFolder

pytestmark = [pytest.mark.chaos, pytest.mark.ray, pytest.mark.timeout(2400)]
_WORKER = "ray::RayTrainWorker"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster(tmp_path / "cluster")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def test_an_elastic_trial_shrinks_and_grows_with_the_cluster(
    nodes: LocalCluster, home: HomeFolder, small_data: Path, tmp_path: Path
) -> None:
    with one_trial(nodes, home, small_data, tmp_path, {"workers": [1, 3]}) as trial:
        trial.wait_until(lambda: trial.step > INTERVAL)
        nodes.nodes[0].kill()
        lost_at = trial.step
        trial.wait_until(lambda: trial.step > lost_at + INTERVAL)  # with fewer workers
        nodes.nodes[0].start()
        trial.wait_for_the_end()
    made = trial.folder.read_attempts()
    assert [one.cause for one in made] == ["worker_lost", "resized", "finished"]
    assert made[1].detail == "from 2 to 3 workers"
    assert repeated_steps(made) <= 2 * INTERVAL
    mine, alone = trial.folder.read_result(), result_on_one_worker(small_data, tmp_path)
    assert mine is not None
    assert mine.mixture == alone.mixture, "the batches of one worker, each once"
    assert [rung.step for rung in mine.rungs] == list(range(INTERVAL, STEPS + 1, INTERVAL))
    losses = [rung.train_loss for rung in alone.rungs]
    assert [rung.train_loss for rung in mine.rungs] == pytest.approx(losses, abs=1e-5)


def test_a_trial_whose_node_is_taken_away_with_notice_repeats_nothing(
    nodes: LocalCluster, home: HomeFolder, small_data: Path, tmp_path: Path
) -> None:
    with one_trial(nodes, home, small_data, tmp_path, {"workers": 3}) as trial:
        trial.wait_until(lambda: trial.step > INTERVAL)
        assert nodes.nodes[1].actors(_WORKER), "three workers on three nodes of one slot"
        nodes.drain(1, seconds=30)
        noticed_at = trial.step
        trial.wait_until(lambda: trial.folder.newest_step() % INTERVAL != 0)  # a checkpoint between two rungs
        nodes.nodes[1].kill()
        nodes.nodes[1].start()
        trial.wait_for_the_end()
    made = trial.folder.read_attempts()
    assert [one.cause for one in made] == ["preempted", "finished"]
    assert made[1].first_step >= noticed_at
    assert made[1].first_step % INTERVAL, "it went on from the checkpoint that was saved on notice"
    mine, alone = trial.folder.read_result(), result_on_one_worker(small_data, tmp_path)
    assert mine is not None
    assert mine.mixture == alone.mixture
    assert mine.steps == STEPS
