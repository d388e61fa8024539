"""What a study reserved on a cluster goes with its driver, however that ends; one that hangs keeps it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from tests.small_study import write_file

from hybridbatch.cluster.reclaimer import abandoned_groups, start_reclaimer
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.training.progress import read_progress

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),  # of Ray
]
PATIENCE = 300.0  # seconds
# What a controller of Ray Train does that sees its workers go before itself: it reserves a place after its job ended.
TOO_LATE = """
import sys, time
import ray
from hybridbatch.cluster.reclaimer import has_ended, start_reclaimer

class Late:
    def __init__(self, job):
        self.job = job

    def reserve(self):
        while not has_ended(self.job):
            time.sleep(0.1)
        ray.util.placement_group([{"CPU": 1}], name="too late")
        time.sleep(3600)

ray.init(sys.argv[1], log_to_driver=False)
start_reclaimer()
late = ray.remote(num_cpus=0)(Late).options(lifetime="detached", name="late", namespace="late")
actor = late.remote(ray.get_runtime_context().get_job_id())
ray.get(actor.__ray_ready__.remote())
actor.reserve.remote()
time.sleep(1)
"""
LONG = {"training.steps": 100_000, "training.evaluate_every": 50_000, "search.trials": 1, "search.baselines": {}}
# Ray's own, detached, which reserve nothing: one of a kind for the cluster, and one a worker group, which asks the
# dashboard whether its group still lives, and this Ray has none.
COORDINATOR, CLEANER = "_AutoscalingCoordinatorActor", "PlacementGroupCleaner"


def groups() -> list[dict[str, Any]]:
    return [one for one in ray.util.placement_group_table().values() if one["state"] != "REMOVED"]


def actors() -> list[str]:
    from ray._private.state import actors as of_all

    return sorted(one["ActorClassName"].split(".")[-1] for one in of_all().values() if one["State"] != "DEAD")


def all_is_free() -> bool:
    free, there = ray.available_resources(), ray.cluster_resources()
    return not groups() and all(abs(free.get(name, 0) - there[name]) < 0.01 for name in ("CPU", "memory"))


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, (groups(), actors(), ray.available_resources())
        time.sleep(0.3)


@contextlib.contextmanager
def driver(file: Path, home: HomeFolder, data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a study on the tests' Ray in a process of its own."""
    command = [sys.executable, "-c", "from hybridbatch.cli import main; main()", "run", str(file)]
    command += ["--address", ray.get_runtime_context().gcs_address, "--home", str(home.path), "--data", str(data)]
    with (file.parent / "driver.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env={**os.environ})
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def in_training(home: HomeFolder) -> bool:
    now = [read_progress(one.progress) for one in home.study("small").trials()]
    return any(one is not None and one.phase == "training" and one.step > 0 for one in now)


def test_a_study_that_ends_leaves_nothing(cluster: Path, home: HomeFolder, small_data: Path, tmp_path: Path) -> None:
    wait_until(all_is_free)
    before = actors()
    with driver(write_file(tmp_path, {"search.trials": 1}), home, small_data) as process:
        assert process.wait(PATIENCE) == 0, (tmp_path / "driver.log").read_text(encoding="utf-8")
    wait_until(all_is_free)
    wait_until(lambda: set(actors()) - set(before) <= {COORDINATOR})
    assert actors().count(COORDINATOR) <= 1


def test_a_driver_that_hangs_holds_what_it_has_and_a_killed_one_nothing(
    cluster: Path, home: HomeFolder, small_data: Path, tmp_path: Path
) -> None:
    wait_until(all_is_free)
    before = actors()
    with driver(write_file(tmp_path, LONG), home, small_data) as process:
        wait_until(lambda: in_training(home))
        held = groups()
        assert len(held) >= 2, "Tune's, for the owner of the group, and Ray Train's, for its workers"
        process.send_signal(signal.SIGSTOP)
        time.sleep(5)
        assert {one["placement_group_id"] for one in groups()} == {one["placement_group_id"] for one in held}
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        wait_until(all_is_free)
    wait_until(lambda: set(actors()) - set(before) <= {COORDINATOR, CLEANER})
    assert actors().count(COORDINATOR) <= 1
    print("left of a killed driver:", actors())


def test_a_place_that_is_reserved_after_its_job_ended_is_given_back(cluster: Path) -> None:
    wait_until(all_is_free)
    before, known = actors(), set(ray.util.placement_group_table())
    command = [sys.executable, "-c", TOO_LATE, ray.get_runtime_context().gcs_address]
    subprocess.run(command, check=True, timeout=PATIENCE)
    late = ray.get_actor("late", namespace="late")

    def made() -> list[str]:
        table = ray.util.placement_group_table()
        return [table[group]["state"] for group in set(table) - known]

    wait_until(lambda: made() == ["REMOVED"])
    ray.kill(late)
    wait_until(lambda: actors() == before)  # the reclaimer ends, too


def test_the_place_of_a_dead_actor_is_given_back_while_its_job_goes_on(cluster: Path) -> None:
    class Owner:
        def reserve(self) -> None:
            ray.get(ray.util.placement_group([{"CPU": 1}]).ready())

    start_reclaimer()
    owner = ray.remote(num_cpus=0)(Owner).remote()
    ray.get(owner.reserve.remote())
    assert groups()
    assert not abandoned_groups(ray.get_runtime_context().get_job_id(), over=False)
    ray.kill(owner)
    wait_until(lambda: not groups())
