"""Elastic groups: as many of the workers as share every batch evenly take part in a trial, the others wait."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.several_processes import run_workers
from tests.small_arms import settings_of
from tests.small_study import experiment


def test_workers_leave_and_join_from_trial_to_trial(tmp_path: Path) -> None:
    ended, said = run_workers("tests.elastic_worker", 3, str(tmp_path / "store"), "2", "3", "1", "2", "2", "3")
    assert ended == [0, 0, 0], said


@given(present=st.integers(1, 40), size=st.integers(2, 100))
def test_the_most_workers_that_divide_a_batch_take_part(present: int, size: int) -> None:
    at_work = experiment({"batches.size": size}).workers_at_work(present)
    assert size % at_work == 0
    assert at_work <= present
    assert not [more for more in range(at_work + 1, present + 1) if size % more == 0]


@pytest.mark.parametrize(("present", "at_work"), [(1, 1), (3, 3), (4, 3), (6, 6), (11, 6)])
def test_batches_of_arms_are_shared_evenly_too(present: int, at_work: int) -> None:
    made = experiment({"batches.size": 12, "arms.optical": {**settings_of("optical"), "batch_size": 6}})
    assert made.workers_at_work(present) == at_work


def test_a_trial_starts_with_the_fewest_and_takes_the_most() -> None:
    needs = experiment({"resources": {"workers": [2, 4]}}).resources
    assert (needs.fewest_workers, needs.most_workers) == (2, 4)
    alone = experiment({"resources": {"workers": 2}}).resources
    assert (alone.fewest_workers, alone.most_workers) == (2, 2)
