"""What the ledger hands out, and how its trials stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.attempts import Attempts
from hybridbatch.spec.experiment import Experiment


@dataclass(frozen=True)
class Assignment:
    """A trial to run.

    Attributes:
        number: Its identity.
        params: What the search chose, by dotted path.
        baseline: Name of the baseline it replicates, or None.
        experiment: The experiment with all that in place; what is wrong with it if it can be none.
        replicate_of: Number of the contender that it runs again with another seed, or None.
    """

    number: int
    params: dict[str, Any]
    baseline: str | None
    experiment: Experiment | UserError
    replicate_of: int | None = None


@dataclass(frozen=True)
class Begun:
    """What the folder of a trial tells of work on it.

    Attributes:
        params: What the search chose; None when it tells nothing.
        resumes_at: Step of its newest checkpoint.
        reached: The last step that is known to have been done; None when it tells nothing.
        attempts: The attempts at it, for a ledger that was made anew and knows none.
        finished: Whether it holds a result.
        replicate_of: Number of the contender that it runs again; None when it tells of none.
    """

    params: dict[str, Any] | None = None
    resumes_at: int = 0
    reached: int | None = None
    attempts: Attempts = ()
    finished: bool = False
    replicate_of: int | None = None


@dataclass(frozen=True)
class Counts:
    """Trials by state; their sum is what is planned."""

    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int
