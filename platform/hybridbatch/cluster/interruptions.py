"""Why the workers of a group ended: told to the mailbox by Ray Train's controller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError
from ray.train import UserCallback

from hybridbatch.foundation.errors import first_line
from hybridbatch.spec.attempts import Cause


class TellInterruptions(UserCallback):  # type: ignore[misc]
    """Tells the mailbox of a group what its workers raised; lives in Ray Train's controller."""

    def __init__(self, mailbox: Any) -> None:
        self.mailbox = mailbox

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Tell why workers ended."""
        self.mailbox.interrupted.remote(*cause_of(worker_exceptions.values()))


def cause_of(errors: Iterable[Exception]) -> tuple[Cause, str]:
    """Return why workers ended, and the first line of what was seen.

    When one worker goes the others fail as well, in the middle of what they did together. So what says most decides: a
    machine that was taken away, then want of memory.
    """
    found = [inner for error in errors for inner in _chain(error)]
    for error in found:
        if isinstance(error, RayActorError) and error.preempted:
            return "preempted", first_line(error)
    for error in found:
        if isinstance(error, OutOfMemoryError):
            return "out_of_memory", first_line(error)
    for error in found:
        if isinstance(error, RayActorError | NodeDiedError):
            return "worker_lost", first_line(error)
    return "worker_lost", first_line(found[0]) if found else "no error was told"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "health_check_failure", None) or error.__cause__
