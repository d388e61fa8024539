"""The ledger: an Optuna study in which every trial is asked once, run under one number and told once.

A trial is RUNNING while a driver works on it under a lease. When the lease has lapsed (the driver was killed, or its
machine is gone) the trial is handed out again under the same number. What is decided at a rung is recorded with the
trial, so that a trial that reports the same rung again after a restart gets the same answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from hybridbatch.search import attempts
from hybridbatch.search.assignment import Assignment, Begun, Counts
from hybridbatch.search.beginning import NextTrial
from hybridbatch.search.drawing import Drawing
from hybridbatch.search.opening import extension_entry, open_study, write_extension
from hybridbatch.search.ownership import LEASE, Owner, has_lapsed, last_renewal, lease
from hybridbatch.search.patience import Patience, waits_out
from hybridbatch.search.planned import BASELINE, REPLICATE, is_replicate, planned_trials
from hybridbatch.search.renewal import Renewal
from hybridbatch.search.replicates import Contenders, repeated
from hybridbatch.search.spending import spent_by
from hybridbatch.search.storage import close_storage, exclusive, open_storage, readable_store_errors
from hybridbatch.search.telling import TOLD, tell
from hybridbatch.search.timing import Latency, nobody_listens, timed
from hybridbatch.search.verdicts import RungRecord
from hybridbatch.spec.attempts import Attempts, Cause
from hybridbatch.spec.budget import Spent
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.taken import NOTHING, Taken
from hybridbatch.spec.trial import Rung, TrialResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.trial import FrozenTrial


@dataclass
class _Call:
    """One call, which may have to be done several times: what was decided the first time holds for all."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    repeated: bool = False
    attempts: Attempts | None = None  # to be written


class Ledger:
    """The ledger of one study.

    A store on a server that is away for a while is waited for (:mod:`hybridbatch.search.patience`). When an answer is
    lost, what was written last may have arrived or not; every call can be done again over either.

    Args:
        experiment: The experiment as the user wrote it.
        url: URL of the Optuna storage.
        kept: What the study's folder says that it took from earlier ones: the ledger may have been lost.

    Attributes:
        taken: What it took from earlier studies.
        latency: Is told how long each call took.
        workers: How many work on a trial, as its attempts say; of an elastic one the most.
        gpus_per_worker: GPUs that each of them has.

    Raises:
        StoreError: If the storage cannot be reached; it is not waited for before it was there once.
        UserError: If a study of this name with another experiment is there already, or an earlier one from which this
            one is to take something is not.
    """

    def __init__(self, experiment: Experiment, url: str, kept: Taken = NOTHING) -> None:
        self.experiment, self.url, self.owner = experiment, url, Owner.this_process()
        self.name = experiment.name
        self.latency: Latency = nobody_listens
        self.workers = experiment.resources.most_workers
        self.gpus_per_worker = experiment.resources.gpus_per_worker
        self._mine: dict[int, int] = {}
        plan = planned_trials(experiment)
        self.patience = Patience(url)
        self._renewal = Renewal(self._renew, self.patience)
        self._database = open_storage(url)
        self.storage = optuna.storages.get_storage(self._database)  # as Optuna's study would: with a cache
        self.study, self.taken = self.patience.outlast(lambda: self._open_study(plan.total, kept))
        self.plan = plan.with_taken(self.taken.points, experiment.search.space)
        self._drawing = Drawing(experiment, self.plan)
        self._next_trial = NextTrial(experiment, self.plan)
        self._rungs = RungRecord(experiment, self.plan, self.storage, self._trials)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with readable_store_errors(self.url), exclusive(self._database, self.name):
            yield

    def _open_study(self, planned: int, kept: Taken) -> tuple[optuna.Study, Taken]:
        with self._exclusive():
            return open_study(self.experiment, planned, self.storage, kept)

    def extend(self, extended: Experiment) -> None:
        """Plan more trials, or another space for those to come; from here on the ledger is that of ``extended``."""
        self._extend(extended, extension_entry(extended))

    @waits_out
    def _extend(self, extended: Experiment, entry: dict[str, Any]) -> None:
        with self._exclusive():
            write_extension(self.study, extended, entry)

    @timed
    def next_assignment(self, begun: Callable[[int], Begun] = lambda number: Begun()) -> Assignment | None:
        """Return a trial to run, or None when there is none now; then :attr:`later` says whether there may be one.

        First come trials that nobody works on any more, then new ones of the search, then replicates.

        Args:
            begun: Tells what the folder of a trial knows of it: the ledger may have been lost.
        """
        return self._next(begun, _Call())

    @waits_out
    def _next(self, begun: Callable[[int], Begun], call: _Call) -> Assignment | None:
        with self._exclusive():
            trials = self._trials()
            if call.repeated:
                for trial in trials:  # which the call before took, and perhaps nobody knows
                    if (trial.user_attrs.get(LEASE) or {}).get("call") == call.id and not trial.state.is_finished():
                        return self._take(trial, begun, call)
            call.repeated, call.attempts = True, None
            grace = self.patience.grace()
            for trial in trials:
                lapsed = trial.state == TrialState.RUNNING and has_lapsed(trial.user_attrs.get(LEASE), grace)
                if (lapsed or trial.state == TrialState.WAITING) and trial.number not in self._mine:
                    return self._take(trial, begun, call)
            marks = self._next_trial.marks(self.study, trials, begun)
            if marks is None:
                return None
            # In one go with its mark: when the answer is lost, the trial is known again by it.
            new = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs={LEASE: self._lease(call), **marks})
            trial_id = self.storage.create_new_trial(self.study._study_id, new)
            return self._take(self.storage.get_trial(trial_id), begun, call)

    @property
    def later(self) -> bool:
        """Whether, after :meth:`next_assignment` had nothing, it may have something once trials at work are over."""
        return self._next_trial.later

    def _lease(self, call: _Call) -> dict[str, Any]:
        return lease(self.owner) | {"call": call.id}

    def _take(self, trial: FrozenTrial, begun: Callable[[int], Begun], call: _Call) -> Assignment:
        """Take a trial into this driver's hands."""
        number, trial_id, heard = trial.number, trial._trial_id, _heard(trial)
        before = begun(number)
        if trial.state == TrialState.WAITING:
            self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        self.storage.set_trial_user_attr(trial_id, LEASE, self._lease(call))
        if call.attempts is None:
            call.attempts = attempts.read(trial.user_attrs) or before.attempts
            if not before.finished:
                call.attempts = self._begun(call.attempts, before.resumes_at, before.reached, heard)
        self._write_attempts(trial_id, call.attempts)
        baseline = None
        if number < len(self.plan.baselines):
            baseline = self.plan.baselines[number].name
            self.storage.set_trial_user_attr(trial_id, BASELINE, baseline)
        if is_replicate(trial):
            params, ready = repeated(self.study, self.experiment, trial)
        else:
            params = self._drawing.params(self.study, trial, before.params or {})
            ready = self._drawing.resolved(number, params)
        self._mine[number] = trial_id
        return Assignment(number, params, baseline, ready, trial.user_attrs.get(REPLICATE, {}).get("of"))

    @timed
    @waits_out
    def report(self, number: int, rung: Rung) -> bool | None:
        """Record a rung; return whether the trial goes on, or None if it is not in this driver's hands any more."""
        with self._exclusive():
            trial = self.storage.get_trial(self._id(number))
            return self._rungs.decide(trial, rung) if self._holds(trial) else None

    @timed
    def interrupt(self, number: int, cause: Cause, detail: str | None, begun: Begun) -> bool:
        """Record that the workers of a trial were interrupted and others go on with it, in the same hands.

        Args:
            number: The trial.
            cause: What interrupted them.
            detail: What was seen.
            begun: What the trial's folder tells.

        Returns:
            False if the trial is not in this driver's hands any more.
        """
        return self._interrupt(number, cause, detail, begun, _Call())

    @waits_out
    def _interrupt(self, number: int, cause: Cause, detail: str | None, begun: Begun, call: _Call) -> bool:
        with self._exclusive():
            trial = self.storage.get_trial(self._id(number))
            if not self._holds(trial):
                return False
            if call.attempts is None:
                ended = attempts.end(attempts.read(trial.user_attrs), cause, detail, begun.reached)
                call.attempts = self._begun(ended, begun.resumes_at, None)
            self._write_attempts(trial._trial_id, call.attempts)
            return True

    @timed
    @waits_out
    def attempts_at(self, number: int) -> Attempts:
        """Return all attempts at a trial."""
        with readable_store_errors(self.url):
            return attempts.read(self.storage.get_trial(self._id(number)).user_attrs)

    def _begun(self, made: Attempts, first_step: int, reached: int | None, heard: str | None = None) -> Attempts:
        return attempts.begin(made, self.owner, first_step, reached, self.workers, self.gpus_per_worker, heard)

    def _write_attempts(self, trial_id: int, made: Attempts) -> None:
        self.storage.set_trial_user_attr(trial_id, attempts.ATTEMPTS, attempts.written(made))

    @timed
    @waits_out
    def tell(self, result: TrialResult) -> None:
        """Record the outcome of a trial; a second time changes nothing."""
        with self._exclusive():
            trial_id = self._id(result.number)
            trial = self.storage.get_trial(trial_id)
            if not trial.state.is_finished():
                if trial.state == TrialState.WAITING:  # given back when its result was being written
                    self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
                self._rungs.record(trial, result.rungs)  # all known, unless the ledger is made anew from the folders
                tell(self.study, trial, result, self.experiment.search.constraints)
        self._mine.pop(result.number, None)

    @timed
    @waits_out
    def release(
        self, number: int, cause: Cause = "stopped", detail: str | None = None, reached: int | None = None
    ) -> None:
        """Give a trial back unfinished, for whoever asks next.

        Args:
            number: The trial.
            cause: Why it is given back.
            detail: What was seen.
            reached: The last step that it is known to have done.
        """
        trial_id = self._mine.get(number)
        if trial_id is not None:
            with self._exclusive():
                trial = self.storage.get_trial(trial_id)
                if self._holds(trial):
                    self._put_back(trial, cause, detail, reached)
            self._mine.pop(number, None)

    @timed
    def give_back(self, number: int, reached: int | None) -> bool:
        """Take a trial out of the hands of a driver that is gone; return whether it was.

        Args:
            number: The trial.
            reached: The last step that it is known to have done.
        """
        return self._give_back(number, reached, _Call())

    @waits_out
    def _give_back(self, number: int, reached: int | None, call: _Call) -> bool:
        with self._exclusive():
            trial = self.storage.get_trial(self._id(number))
            if trial.state == TrialState.RUNNING and has_lapsed(trial.user_attrs.get(LEASE), self.patience.grace()):
                call.repeated = True
                self._put_back(trial, "driver_lost", None, reached, _heard(trial))
            return call.repeated

    def _put_back(
        self, trial: FrozenTrial, cause: Cause, detail: str | None, reached: int | None, moment: str | None = None
    ) -> None:
        made = attempts.read(trial.user_attrs)
        self._write_attempts(trial._trial_id, attempts.end(made, cause, detail, reached, moment))
        self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        self.storage.set_trial_user_attr(trial._trial_id, LEASE, None)  # last: until then this driver can do it again

    def _holds(self, trial: FrozenTrial) -> bool:
        """Return whether a trial is still in this driver's hands: after a long sleep another may have taken it."""
        entry = trial.user_attrs.get(LEASE)
        return bool(entry and not trial.state.is_finished() and Owner.read(entry["owner"]) == self.owner)

    def in_hand(self) -> list[int]:
        """Return the numbers of trials that this driver took and neither told nor gave back."""
        return list(self._mine)

    def unfinished(self) -> list[int]:
        """Return the numbers of trials that are neither told nor in living hands."""
        return [
            trial.number
            for trial in self._read()
            if not trial.state.is_finished() and has_lapsed(trial.user_attrs.get(LEASE))
        ]

    def running(self) -> set[int]:
        """Return the numbers of trials in living hands."""
        return {
            trial.number
            for trial in self._read()
            if trial.state == TrialState.RUNNING and not has_lapsed(trial.user_attrs.get(LEASE))
        }

    @timed
    def counts(self) -> Counts:
        """Return the trials by state. One whose driver is dead counts as waiting."""
        trials = self._read()
        states = [trial.state for trial in trials]
        running = len(self.running())
        complete, pruned, failed = (states.count(TOLD[name]) for name in ("complete", "pruned", "failed"))
        waiting = max(self.planned(), len(trials)) - complete - pruned - failed - running
        return Counts(complete, pruned, failed, running, waiting)

    @timed
    def all_attempts(self) -> list[Attempts]:
        """Return the attempts at every trial."""
        return [attempts.read(trial.user_attrs) for trial in self._read()]

    def spent(self) -> Spent:
        """Return what the study used so far."""
        return spent_by(self._read(), self.experiment.resources)

    @waits_out
    def stopped(self) -> dict[str, Any] | None:
        """Return why the search was ended early, None when it was not: :meth:`StopRule.decision`."""
        with readable_store_errors(self.url):
            return self._next_trial.stop_rule.decision(self.study)

    @waits_out
    def contenders(self) -> Contenders | None:
        """Return who of the search runs again with further seeds, None before that is decided."""
        with readable_store_errors(self.url):
            return self._next_trial.replicates.decided(self.study)

    def planned(self) -> int:
        """Return how many trials the study is to have, replicates included."""
        return self.plan.total + self._next_trial.replicates.planned(self.contenders())

    def not_begun(self) -> int:
        """Return how many planned trials nobody ever worked on."""
        return max(0, self.planned() - len(self._read()))

    def search_not_begun(self) -> int:
        """Return how many planned trials of the search, baselines included, nobody ever worked on."""
        decided = self.contenders()
        return max(0, self.plan.total - (len(self._read()) if decided is None else decided.first))

    def keep_leases(self) -> None:
        """Renew the leases of the trials in hand from a thread, until :meth:`close`."""
        self._renewal.start()

    def _renew(self) -> None:
        with self._exclusive():
            for trial_id in list(self._mine.values()):
                if self._holds(self.storage.get_trial(trial_id)):
                    self.storage.set_trial_user_attr(trial_id, LEASE, lease(self.owner))

    def close(self) -> None:
        """Stop renewing and give back what is still in hand."""
        self._renewal.stop()
        try:
            for number in self.in_hand():
                self.release(number)
        finally:
            close_storage(self._database)

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)

    @waits_out
    def _read(self) -> list[FrozenTrial]:
        return self._trials()

    def _trials(self) -> list[FrozenTrial]:
        with readable_store_errors(self.url):
            return self.storage.get_all_trials(self.study._study_id, deepcopy=False)


def _heard(trial: FrozenTrial) -> str | None:
    """Return when the driver of a trial was last known to be alive: when it took it, or renewed its lease."""
    renewed, made = last_renewal(trial.user_attrs.get(LEASE)), attempts.read(trial.user_attrs)
    return attempts.latest(renewed, made) if renewed and made else None
