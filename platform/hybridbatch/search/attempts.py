"""Attempts at a trial, as the ledger keeps them: who worked on it, from which step, until when, and what ended it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from hybridbatch.search.ownership import Owner
from hybridbatch.spec.attempts import Attempt, Attempts, Cause

ATTEMPTS = "attempts"  # name of the user attribute of an Optuna trial

_ADAPTER = TypeAdapter(Attempts)


def read(attributes: Mapping[str, Any]) -> Attempts:
    """Return the attempts that stand among the user attributes of an Optuna trial; none in older ledgers."""
    return _ADAPTER.validate_python(attributes.get(ATTEMPTS, ()))


def written(attempts: Attempts) -> list[dict[str, Any]]:
    """Return ``attempts`` as they stand in the ledger."""
    return [attempt.model_dump(mode="json") for attempt in attempts]


def begin(
    attempts: Attempts,
    owner: Owner,
    first_step: int,
    reached: int | None,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    heard: str | None = None,
) -> Attempts:
    """Return ``attempts`` with one more that begins now.

    One that nobody ended belongs to a driver that is gone.

    Args:
        attempts: Those before.
        owner: Who begins.
        first_step: Step of the checkpoint that it goes on from.
        reached: The last step that the attempt before is known to have done.
        workers: How many work on it.
        gpus_per_worker: GPUs that each of them has.
        heard: When that driver was last heard of, ISO 8601 time in UTC; None: now.
    """
    new = Attempt(
        owner=owner.text, started=_now(), first_step=first_step, workers=workers, gpus_per_worker=gpus_per_worker
    )
    return (*end(attempts, "driver_lost", None, reached, heard), new)


def end(
    attempts: Attempts, cause: Cause, detail: str | None, reached: int | None, moment: str | None = None
) -> Attempts:
    """Return ``attempts``, the last of which is ended, unless it was before.

    Args:
        attempts: All attempts at a trial.
        cause: Why it ended.
        detail: What was seen.
        reached: The last step that it is known to have done.
        moment: When it ended, ISO 8601 time in UTC; None: now.
    """
    if not attempts or attempts[-1].ended is not None:
        return attempts
    last = {"ended": moment or _now(), "cause": cause, "detail": detail, "last_step": reached}
    return (*attempts[:-1], attempts[-1].model_copy(update=last))


def latest(renewed: datetime, attempts: Attempts) -> str:
    """Return when the last attempt was alive for certain: when its lease was renewed, or when it began soon after."""
    return max(_written(renewed), attempts[-1].started, key=datetime.fromisoformat)


def _now() -> str:
    return _written(datetime.now(UTC))


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
