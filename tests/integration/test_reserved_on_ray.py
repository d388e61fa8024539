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

from hybridbatch.spec.folders import HomeFolder
from hybridbatch.training.progress import read_progress

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),  # of Ray
]
PATIENCE = 300.0  # seconds
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
