"""A study without Ray: in this process, one trial at a time."""

from __future__ import annotations

from dataclasses import dataclass

from hybridbatch.search.session import StudySession
from hybridbatch.spec.trial import Rung


@dataclass(frozen=True)
class _Verdicts:
    session: StudySession
    number: int

    def report(self, step: int, rung: Rung | None) -> bool:
        """Ask the ledger directly."""
        return rung is None or self.session.report(self.number, rung)


def run_local(session: StudySession, device: str = "cpu") -> None:
    """Run trials until none is left for this driver.

    The same trial gives the same figures as on a Ray cluster; ``resources.workers`` is not looked at, since the global
    batch does not depend on it.
    """
    from hybridbatch.training.trial import run_trial
    from hybridbatch.training.workshop import Workshop

    workshop = Workshop(session.location)
    while (spec := session.next_trial()) is not None:
        verdicts = _Verdicts(session, spec.number)
        result = run_trial(spec, session.folder.trial(spec.number), workshop, verdicts, device=device)
        if result is not None:
            session.finish(result)
