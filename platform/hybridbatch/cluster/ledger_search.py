"""Tune's view of the ledger: a searcher that hands out its trials and a scheduler that passes on its verdicts."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from hybridbatch.foundation.errors import HybridBatchError, StoreError
from hybridbatch.search.session import StudySession
from hybridbatch.spec.attempts import Cause
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
        self._interruptions: Counter[tuple[int, Cause]] = Counter()
        self._given_up: dict[int, tuple[Cause, str | None]] = {}
        self._empty_until = 0.0

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial, None when there may be one later, FINISHED when there will be none."""
        if self.faults.first or time.monotonic() < self._empty_until:
            return None if self.numbers or self._later() else Searcher.FINISHED
        try:
            spec = self.session.next_trial()
        except HybridBatchError as error:
            self.faults.note(error)
            return None if self.numbers else Searcher.FINISHED
        if spec is None:
            self._empty_until = time.monotonic() + _ASK_AGAIN
            return None if self.numbers or self._later() else Searcher.FINISHED
        self.numbers[trial_id] = spec.number
        return {
            "study": spec.study,
            "number": spec.number,
            "home": str(self.session.home.path),
            "data_root": str(self.session.location.root),
            "resources": self.session.experiment.resources.model_dump(mode="json"),
        }

    def _later(self) -> bool:
        """Return whether trials of the search in other hands decide whether there is one to run here."""
        return self.faults.first is None and self.session.later

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
            self._empty_until = 0.0
            lost = (result or {}).get("lost")
            if number in self._given_up:
                self._give_up(number, *self._given_up.pop(number))
            elif error or lost:
                self._lost_group(number, lost)
            else:
                self.session.release(number)
        except HybridBatchError as fault:
            self.faults.note(fault)

    def interrupted(self, number: int, cause: Cause, detail: str | None) -> bool:
        """Record that the workers of a trial were interrupted; return whether others may go on with it here."""
        if not self.session.interrupt(number, cause, detail):  # in other hands
            return False
        if self._is_too_often(number, cause):
            self._given_up[number] = (cause, detail)
            return False
        return True

    def _lost_group(self, number: int, why: str | None) -> None:
        """Give back a trial whose group is no more, unless that was too often."""
        self.session.release(number, "worker_lost", why)
        if self._is_too_often(number, "worker_lost"):
            self.faults.note(self._too_often(number, "worker_lost", why))

    def _give_up(self, number: int, cause: Cause, detail: str | None) -> None:
        if cause == "out_of_memory":
            self.session.fail(number, f"its workers ran out of memory: {detail}")
        else:
            self.session.release(number)
            self.faults.note(self._too_often(number, cause, detail))

    def _is_too_often(self, number: int, cause: Cause) -> bool:
        """Count an interruption; return whether it is one too many.

        What happened under other drivers does not count: whoever resumes a study has mended something.
        """
        self._interruptions[number, cause] += 1
        allowed: int | None = getattr(self.session.experiment.resources.retries, cause, None)
        return allowed is not None and self._interruptions[number, cause] > allowed

    def _too_often(self, number: int, cause: Cause, detail: str | None) -> StoreError:
        return StoreError(
            f"trial {number} lost its workers too often",
            path=f"resources.retries.{cause}",
            seen=detail,
            allowed=f"at most {getattr(self.session.experiment.resources.retries, cause)} under one driver",
            remedy=f"look into {self.session.home.logs} and Ray's logs, then run `hybridbatch resume`",
        )

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the ledger is the only truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its configuration for a restore that never happens here


class LedgerScheduler(FIFOScheduler):  # type: ignore[misc]
    """Brings rungs and interruptions to the ledger and its verdicts back.

    A trial that is not to go on after a rung ends by itself.
    """

    def __init__(self, searcher: LedgerSearcher) -> None:
        super().__init__()
        self.searcher, self.session, self.faults = searcher, searcher.session, searcher.faults

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide on a rung, or on going on after an interruption."""
        try:
            if "rung" in result:
                rung = Rung.model_validate_json(result["rung"])
                goes_on = self.session.report(trial.config["number"], rung)
                if goes_on is None:  # in other hands: what waits for a verdict here learns it from the next trial
                    return str(TrialScheduler.STOP)
                result["mailbox"].decide.remote(rung.step, goes_on)
            if "interrupted" in result and not self.searcher.interrupted(
                trial.config["number"], *result["interrupted"]
            ):
                return str(TrialScheduler.STOP)
        except HybridBatchError as error:
            self.faults.note(error)
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as above
