"""Attempts at a trial: who worked on it, from which step, until when, and what ended it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict

Cause = Literal["finished", "error", "out_of_memory", "preempted", "resized", "worker_lost", "driver_lost", "stopped"]
NO_INTERRUPTION: tuple[Cause, ...] = ("finished", "error")


class Attempt(BaseModel):
    """One stretch of work on a trial, from when it was taken up until it was finished or interrupted.

    Attributes:
        owner: The driver, as :class:`hybridbatch.search.ownership.Owner` writes it.
        started: ISO 8601 time in UTC.
        first_step: Step of the checkpoint it went on from.
        ended: ISO 8601 time in UTC; None while it lasts.
        cause: Why it ended: ``finished`` (the trial has its result), ``error`` (the trial failed by itself),
            ``out_of_memory`` (a worker was killed for its memory), ``preempted`` (the machine was taken away, with
            notice), ``resized`` (Ray Train gave the group more or fewer workers), ``worker_lost``, ``driver_lost``
            (killed, or out of reach for longer than its lease), ``stopped`` (somebody asked for it); None while it
            lasts.
        detail: What was seen, in a line.
        last_step: The last step that it is known to have done.
        workers: How many worked on it, the most of an elastic one; None in older ledgers.
        gpus_per_worker: GPUs that each of them had; None in older ledgers.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # keys of newer versions are passed over

    owner: str
    started: str
    first_step: int = 0
    ended: str | None = None
    cause: Cause | None = None
    detail: str | None = None
    last_step: int | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None


Attempts = tuple[Attempt, ...]


def interruptions(attempts: Iterable[Attempt]) -> Counter[str]:
    """Return how many attempts were interrupted, by cause."""
    return Counter(one.cause for one in attempts if one.cause is not None and one.cause not in NO_INTERRUPTION)


def repeated_steps(attempts: Iterable[Attempt]) -> int:
    """Return how many steps were done more than once: those that an interrupted attempt did after its last checkpoint.

    Progress is written about twice a second, so that the steps of half a second may be missing for each interruption.
    """
    return sum(max(0, (before.last_step or 0) - after.first_step) for before, after in pairwise(attempts))
