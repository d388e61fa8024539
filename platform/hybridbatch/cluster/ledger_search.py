"""Tune's view of the ledger: a searcher that hands out its trials and a scheduler that passes on its verdicts."""

from __future__ import annotations

import time
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from hybridbatch.foundation.errors import HybridBatchError, StoreError
from hybridbatch.search.session import StudySession
from hybridbatch.spec.trial import Rung

_ASK_AGAIN = 1.0  # seconds before an empty ledger is asked again


class Faults:
    """What stops a study: the first error that only the user can mend."""

    def __init__(self) -> None:
        self.first: HybridBatchError | None = None

    def note(self, error: HybridBatchError) -> None:
        """Keep the first error."""
        self.first = self.first or error


class LedgerSearcher(Searcher):  # type: ignore[misc]
    """Hands out trials of the ledger; Tune's own trial ids mean nothing outside this class."""

    def __init__(self, session: StudySession, faults: Faults) -> None:
        super().__init__(metric="training_iteration", mode="max")  # Tune wants one; nothing here reads it
        self.session, self.faults = session, faults
        self.numbers: dict[str, int] = {}
        self.attempts: dict[int, int] = {}
        self._empty_until = 0.0

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial, None when there may be one later, FINISHED when there will be none."""
        if self.faults.first or time.monotonic() < self._empty_until:
            return None if self.numbers else Searcher.FINISHED
        try:
            spec = self.session.next_trial()
        except HybridBatchError as error:
            self.faults.note(error)
            return None if self.numbers else Searcher.FINISHED
        if spec is None:
            self._empty_until = time.monotonic() + _ASK_AGAIN
            return None if self.numbers else Searcher.FINISHED
        self.numbers[trial_id] = spec.number
        return {
            "study": spec.study,
            "number": spec.number,
            "home": str(self.session.home.path),
            "data_root": str(self.session.location.root),
            "resources": self.session.experiment.resources.model_dump(mode="json"),
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record the outcome that lies in the trial's folder, or give the trial back.

        A last result may say what only the user can mend: then no other trial is handed out. Or it says why its workers
        could not be kept alive.
        """
        if result and "fault" in result:
            self.faults.note(result["fault"])
        number = self.numbers.pop(trial_id, None)
        if number is None:
            return
        try:
            outcome = self.session.folder.trial(number).read_result()
            if outcome is not None:
                self.session.finish(outcome)
                return
            self.session.ledger.release(number)
            self._empty_until = 0.0
            lost = (result or {}).get("lost")
            if error or lost:
                self._count_attempt(number, lost)
        except HybridBatchError as fault:
            self.faults.note(fault)

    def _count_attempt(self, number: int, why: str | None) -> None:
        self.attempts[number] = self.attempts.get(number, 0) + 1
        most = self.session.experiment.resources.restarts
        if self.attempts[number] > most:
            self.faults.note(
                StoreError(
                    f"trial {number} lost its worker group {self.attempts[number]} times",
                    path="resources.restarts",
                    seen=why or most,
                    allowed=f"a group that lives, in {most + 1} attempts",
                    remedy=f"look into {self.session.home.logs} and Ray's logs, then run `hybridbatch resume`",
                )
            )

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the ledger is the only truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its configuration for a restore that never happens here


class LedgerScheduler(FIFOScheduler):  # type: ignore[misc]
    """Brings rungs to the ledger and its verdicts back; a trial that is not to go on ends by itself."""

    def __init__(self, session: StudySession, faults: Faults) -> None:
        super().__init__()
        self.session, self.faults = session, faults

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide on a rung."""
        try:
            if "rung" in result:
                rung = Rung.model_validate_json(result["rung"])
                goes_on = self.session.report(trial.config["number"], rung)
                if goes_on is None:  # in other hands: what waits for a verdict here learns it from the next trial
                    return str(TrialScheduler.STOP)
                result["mailbox"].decide.remote(rung.step, goes_on)
        except HybridBatchError as error:
            self.faults.note(error)
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as above
