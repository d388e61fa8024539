"""Fixtures of the integration tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """One Ray instance of two CPUs for all tests, on which studies run as on a cluster; gives its folder."""
    from hybridbatch.cluster.driver import ENVIRONMENT

    os.environ.update(ENVIRONMENT)
    import ray

    context = ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        yield Path(context.address_info["session_dir"])
    finally:
        ray.shutdown()
