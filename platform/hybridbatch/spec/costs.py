"""What trials cost: steps and time of all attempts at them, and how much of it was lost to interruptions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from hybridbatch.spec.attempts import Attempt, Attempts, repeated_steps

_HOUR = 3600.0


class Cost(NamedTuple):
    """The cost of a trial, or of several.

    Attributes:
        attempts: How many there were.
        steps: Steps done in all of them, each as often as it was done.
        repeated_steps: Those of them that were done again after an interruption.
        seconds: Time that a driver had the trial in its hands: training, evaluation, and waiting for workers to start.
        worker_hours: The same in hours, times the workers of the trial.
        lost_worker_hours: Those of them that no checkpoint kept: of an interrupted attempt, the share of its steps
            after the checkpoint that the next one went on from; all of one that came to no new checkpoint.
        gpu_hours: ``worker_hours`` times the GPUs of a worker.
    """

    attempts: int = 0
    steps: int = 0
    repeated_steps: int = 0
    seconds: float = 0.0
    worker_hours: float = 0.0
    lost_worker_hours: float = 0.0
    gpu_hours: float = 0.0


def cost_of(
    attempts: Attempts,
    workers: int,
    until: datetime | None = None,
    reached: int | None = None,
    gpus_per_worker: float = 0.0,
) -> Cost:
    """Return what a trial cost so far.

    Args:
        attempts: All attempts at it.
        workers: How many it has, for attempts of ledgers that did not say.
        until: The end of one that nobody ended: now where it lasts, else when it was last heard of.
        reached: The last step that such a one is known to have done.
        gpus_per_worker: GPUs that each worker has, for attempts of ledgers that did not say.
    """
    hours = [_seconds(one, until) * (one.workers or workers) / _HOUR for one in attempts]
    lost = (_lost_share(one, after) * spent for (one, after), spent in zip(pairwise(attempts), hours, strict=False))
    return Cost(
        attempts=len(attempts),
        steps=sum(_steps(one, reached) for one in attempts),
        repeated_steps=repeated_steps(attempts),
        seconds=sum(_seconds(one, until) for one in attempts),
        worker_hours=sum(hours),
        lost_worker_hours=sum(lost),
        gpu_hours=sum(
            spent * (gpus_per_worker if one.gpus_per_worker is None else one.gpus_per_worker)
            for one, spent in zip(attempts, hours, strict=True)
        ),
    )


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum of costs."""
    known = tuple(costs)
    return Cost(
        attempts=sum(one.attempts for one in known),
        steps=sum(one.steps for one in known),
        repeated_steps=sum(one.repeated_steps for one in known),
        seconds=sum(one.seconds for one in known),
        worker_hours=sum(one.worker_hours for one in known),
        lost_worker_hours=sum(one.lost_worker_hours for one in known),
        gpu_hours=sum(one.gpu_hours for one in known),
    )


def hours_at_work(trials: Iterable[tuple[Attempts, datetime | None]]) -> float:
    """Return for how many hours at least one trial was being worked on.

    Args:
        trials: All attempts at each trial, and the end of one that nobody ended, as for :func:`cost_of`.
    """
    seconds, latest = 0.0, None
    for started, ended in sorted(_span(one, until) for attempts, until in trials for one in attempts):
        begin = started if latest is None else max(started, latest)
        seconds += max(0.0, (ended - begin).total_seconds())
        latest = ended if latest is None else max(latest, ended)
    return seconds / _HOUR


def _span(attempt: Attempt, until: datetime | None) -> tuple[datetime, datetime]:
    """Return when an attempt began and ended; none ends before it began, as clocks of two machines may have it."""
    started = datetime.fromisoformat(attempt.started)
    ended = datetime.fromisoformat(attempt.ended) if attempt.ended else until or started
    return started, max(started, ended)


def _seconds(attempt: Attempt, until: datetime | None) -> float:
    started, ended = _span(attempt, until)
    return (ended - started).total_seconds()


def _steps(attempt: Attempt, reached: int | None) -> int:
    last = attempt.last_step if attempt.ended else reached
    return max(0, (last or 0) - attempt.first_step)


def _lost_share(attempt: Attempt, after: Attempt) -> float:
    done = _steps(attempt, None)
    kept = after.first_step - attempt.first_step
    return 1.0 - min(1.0, max(0, kept) / done) if done else 1.0
