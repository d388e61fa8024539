"""A short storm for every run of the tests; `make chaos` runs the long one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.checks import check_everything
from tests.chaos.faults import FAULTS
from tests.chaos.storm import storm
from tests.chaos.world import DISK, World
from tests.small_disk import mounted_disk

TRIALS, STEPS, SEED = 10, 4800, 20261122


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with mounted_disk(tmp_path / "disk", DISK) as disk:
        made = World(tmp_path / "world", disk, TRIALS, STEPS)
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.mark.chaos
@pytest.mark.ray
@pytest.mark.postgresql
@pytest.mark.small_disk
@pytest.mark.timeout(3600)  # the storm ends by itself when nothing moves for ten minutes
def test_every_kind_of_fault_in_one_study_loses_nothing_and_repeats_little(world: World) -> None:
    storm(world, SEED, len(FAULTS))
    check_everything(world)
