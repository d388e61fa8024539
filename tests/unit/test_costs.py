"""What attempts at a trial cost, worked out by hand, and that nothing is counted twice or lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridbatch.spec.attempts import Attempt, Attempts, Cause, repeated_steps
from hybridbatch.spec.costs import Cost, cost_of, total

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def attempt(minutes: tuple[float, float | None], steps: tuple[int, int | None], workers: int | None = None) -> Attempt:
    begin, end = minutes
    ended = None if end is None else (NOON + timedelta(minutes=end)).isoformat()
    cause: Cause | None = None if end is None else "worker_lost"
    return Attempt(
        owner="machine 1 0",
        started=(NOON + timedelta(minutes=begin)).isoformat(),
        first_step=steps[0],
        ended=ended,
        cause=cause,
        last_step=steps[1],
        workers=workers,
    )


def test_an_interrupted_attempt_loses_what_lies_after_its_checkpoint() -> None:
    # 40 minutes for steps 1 to 80, of which a checkpoint kept 60: a quarter, 10 minutes, is lost.
    made = (attempt((0, 40), (0, 80), workers=2), attempt((45, 75), (60, 120), workers=4))
    cost = cost_of(made, workers=1)
    assert cost[:3] == (2, 80 + 60, 20)
    assert cost.seconds == 70 * 60, "nobody works between two attempts"
    assert cost.worker_hours == pytest.approx((40 * 2 + 30 * 4) / 60)
    assert cost.lost_worker_hours == pytest.approx(10 * 2 / 60)


def test_an_attempt_without_a_new_checkpoint_is_lost_as_a_whole() -> None:
    never_began, no_checkpoint = attempt((0, 6), (0, None)), attempt((6, 18), (0, 30))
    cost = cost_of((never_began, no_checkpoint, attempt((18, 30), (0, 60))), workers=10)
    assert cost == pytest.approx(Cost(3, 90, 30, 30 * 60, 5.0, 3.0))


def test_one_that_lasts_counts_until_now_and_one_that_nobody_ended_until_it_was_heard_of() -> None:
    made = (attempt((0, None), (10, None)),)
    assert cost_of(made, 1, NOON + timedelta(minutes=30), 25) == pytest.approx(Cost(1, 15, 0, 1800, 0.5, 0))
    assert cost_of(made, 1) == Cost(attempts=1), "nothing is known of it"
    assert cost_of(made, 1, NOON - timedelta(minutes=1)).seconds == 0, "of a machine whose clock is behind"


def test_no_attempts_cost_nothing() -> None:
    assert cost_of((), 8) == total([]) == Cost()


@st.composite
def histories(draw: st.DrawFn) -> Attempts:
    """Attempts that each go on from a step that the one before, or an earlier one, had reached."""
    made: list[Attempt] = []
    clock, checkpoint = 0.0, 0
    for _ in range(draw(st.integers(0, 6))):
        length = draw(st.floats(0, 100))
        reached = checkpoint + draw(st.integers(0, 50))
        made.append(attempt((clock, clock + length), (checkpoint, reached), draw(st.sampled_from([None, 1, 4]))))
        clock, checkpoint = clock + length, draw(st.integers(checkpoint, reached))
    return tuple(made)


@given(st.lists(histories(), max_size=4), st.integers(1, 8))
def test_steps_that_were_not_done_again_are_those_that_the_trial_has(some: list[Attempts], workers: int) -> None:
    costs = [cost_of(made, workers) for made in some]
    for made, cost in zip(some, costs, strict=True):
        has = made[-1].last_step if made else 0
        assert cost.steps - cost.repeated_steps == has
        assert cost.repeated_steps == repeated_steps(made)
        assert 0 <= cost.lost_worker_hours <= cost.worker_hours + 1e-9
    whole = total(costs)
    assert whole.steps == sum(cost.steps for cost in costs)
    assert whole.worker_hours == pytest.approx(sum(cost.worker_hours for cost in costs))
