"""A study on a cluster without room: a real head without CPUs, whose autoscaler starts nodes on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ray_head import ON_LOOPBACK, TOKEN, Head, ray_head
from tests.small_study import write_file

from hybridbatch.spec.folders import HomeFolder

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),  # of Ray
]
AUTOSCALING = {
    "cluster_name": "tests",
    "max_workers": 1,
    "idle_timeout_minutes": 10,
    "provider": {"type": "fake_multinode"},
    "head_node_type": "ray.head.default",  # the provider's own name for it
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0, "steady": 4}, "node_config": {}, "max_workers": 0},
        "spot": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 1},
    },
    "docker": {},
    "auth": {},
    "upscaling_speed": 1.0,
    "initialization_commands": [], "setup_commands": [], "head_setup_commands": [], "worker_setup_commands": [],
    "head_start_ray_commands": [], "worker_start_ray_commands": [], "file_mounts": {},
    "cluster_synced_files": [], "file_mounts_sync_continuously": False, "rsync_exclude": [], "rsync_filter": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head(cpus=0, autoscaling=AUTOSCALING) as running:
        yield running


def run(head: Head, file: Path, home: HomeFolder, data: Path) -> subprocess.CompletedProcess[str]:
    arguments = ["run", str(file), "--address", head.address, "--home", str(home.path), "--data", str(data)]
    return subprocess.run(
        [sys.executable, "-c", "from hybridbatch.cli import main; main()", *arguments],
        env={**os.environ, **ON_LOOPBACK, "RAY_AUTH_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_the_autoscaler_can_never_place_is_refused_with_the_reason(
    head: Head, home: HomeFolder, small_data: Path, tmp_path: Path
) -> None:
    refused = run(head, write_file(tmp_path, {"resources": {"workers": 4}}), home, small_data)
    assert refused.returncode == 2, refused
    for fact in (
        "no trial can ever be placed on this cluster",
        "0 CPUs and 0 GPUs on 1 nodes; what its autoscaler may add: 1 spot (1 CPUs and 0 GPUs)",
        "lower resources.workers to 1 or less",
    ):
        assert fact in refused.stderr
    assert not list(home.study("small").results())


def test_a_study_waits_for_the_nodes_that_the_autoscaler_adds(
    head: Head, home: HomeFolder, small_data: Path, tmp_path: Path
) -> None:
    done = run(head, write_file(tmp_path, {"search.trials": 1}), home, small_data)
    assert done.returncode == 0, done.stdout + done.stderr
    # What is waited for is told only where it takes longer than some seconds.
    assert done.stdout.index("the nodes of the first trial are there") < done.stdout.index("trial   0  starts")
    assert [one.state for one in home.study("small").results()] == ["complete", "complete"]
