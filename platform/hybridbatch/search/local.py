"""A study without Ray: in this process, one trial at a time."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from hybridbatch.foundation.errors import StoreError, UserError, first_line
from hybridbatch.search.session import StudySession
from hybridbatch.spec.resources import Resources
from hybridbatch.spec.trial import Rung, TrialSpec

_ASK_AGAIN = 2.0  # seconds before a ledger that may have a trial later is asked again
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Verdicts:
    session: StudySession
    number: int

    def notice(self) -> bool:
        """Know of none: who stops this process does so with a signal."""
        return False

    def report(self, step: int, rung: Rung | None) -> bool:
        """Ask the ledger directly."""
        from hybridbatch.training.broken_group import TakenAwayError

        goes_on = rung is None or self.session.report(self.number, rung)
        if goes_on is None:
            raise TakenAwayError
        return goes_on


def local_device(resources: Resources) -> str:
    """Return where trials run in this process: on a GPU when the experiment asks for one.

    Raises:
        UserError: If it asks for one and there is none.
    """
    if resources.gpus_per_worker == 0:
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            "no GPU can be used here",
            path="resources.gpus_per_worker",
            seen=resources.gpus_per_worker,
            allowed="0 on a machine without a GPU that torch can use",
            remedy="set it to 0 (the study stays the same), or look with `hybridbatch doctor` at what torch sees",
        )
    return "cuda:0"  # as Ray Train names the one it gives to a worker


def _next_trial(session: StudySession) -> TrialSpec | None:
    """Return a trial to run, waiting while trials in other hands decide whether there is one; None when there is none.

    Each look also takes up what a driver that died left behind.
    """
    told = False
    while (spec := session.next_trial()) is None and session.later:
        if not told:
            _log.info("waiting for trials of the search in other hands: they may contend")
            told = True
        time.sleep(_ASK_AGAIN)
    return spec


def run_local(session: StudySession, device: str = "cpu") -> None:
    """Run trials until none is left for this driver.

    The same trial gives the same figures as on a Ray cluster; ``resources.workers`` is not looked at, since the global
    batch does not depend on it.

    Args:
        session: The study.
        device: Where to train, such as what :func:`local_device` returns.

    Raises:
        StoreError: If the accelerator is of no use any more in this process.
        UserError: What a trial met that only the user can mend.
    """
    from hybridbatch.training.broken_group import BrokenGroupError, TakenAwayError
    from hybridbatch.training.trial import run_trial
    from hybridbatch.training.workshop import Workshop

    workshop = Workshop(session.location)
    session.ledger.workers, session.ledger.gpus_per_worker = 1, float(device != "cpu")
    while (spec := _next_trial(session)) is not None:
        verdicts = _Verdicts(session, spec.number)
        try:
            result = run_trial(spec, session.folder.trial(spec.number), workshop, verdicts, device=device)
        except TakenAwayError:
            continue
        except BrokenGroupError as error:
            raise StoreError(
                "the accelerator is of no use any more in this process",
                file=device,
                seen=first_line(error),
                remedy="run `hybridbatch resume`: everything already recorded is kept",
            ) from error
        if result is not None:
            session.finish(result)
