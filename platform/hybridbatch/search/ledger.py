"""The ledger: an Optuna study in which every trial is asked once, run under one number and told once.

A trial is RUNNING while a driver works on it under a lease. When the lease has lapsed (the driver was killed, or its
machine is gone) the trial is handed out again under the same number. What is decided at a rung is recorded with the
trial, so that a trial that reports the same rung again after a restart gets the same answer.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import optuna
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import TrialState

from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.search import attempts
from hybridbatch.search.assignment import Assignment, Begun, Counts
from hybridbatch.search.distributions import contains, space_to_optuna
from hybridbatch.search.ownership import LEASE_SECONDS, Owner, has_lapsed, lease
from hybridbatch.search.planned import BASELINE, planned_trials, resolve
from hybridbatch.search.seeded_sampler import sampler_of
from hybridbatch.search.storage import exclusive, open_storage, readable_store_errors
from hybridbatch.search.verdicts import RungRecord
from hybridbatch.spec.attempts import Attempts, Cause
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.trial import Rung, TrialResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.trial import FrozenTrial

# Names of user attributes, of the study and of its trials.
EXPERIMENT, PLANNED, EXTENSIONS = "experiment", "planned", "extensions"
LEASE, REASON, MEASURES = "lease", "reason", "measures"
RENEWER = "hybridbatch-leases"  # name of the thread that renews leases
_log = logging.getLogger(__name__)
TOLD = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class Ledger:
    """The ledger of one study.

    Args:
        experiment: The experiment as the user wrote it.
        url: URL of the Optuna storage.

    Raises:
        StoreError: If the storage cannot be reached.
        UserError: If a study of this name with another experiment is there already.
    """

    def __init__(self, experiment: Experiment, url: str) -> None:
        self.experiment, self.url, self.owner = experiment, url, Owner.this_process()
        self.name = experiment.name
        self._distributions = space_to_optuna(experiment.search.space)
        self._mine: dict[int, int] = {}
        self._renewal = threading.Event()
        self.plan = planned_trials(experiment)
        self._database = open_storage(url)
        self.storage = optuna.storages.get_storage(self._database)  # as Optuna's study would: with a cache
        self._rungs = RungRecord(experiment, self.plan, self.storage, self._trials)
        with readable_store_errors(url), exclusive(self._database, self.name):
            self.study = optuna.create_study(
                study_name=self.name,
                storage=self.storage,
                sampler=sampler_of(experiment.search),
                pruner=optuna.pruners.NopPruner(),
                directions=[objective.direction for objective in experiment.search.objectives],
                load_if_exists=True,
            )
            self._same_experiment()
            if self.study.metric_names is None:  # for optuna-dashboard, which else calls them "Objective 0"
                with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                    self.study.set_metric_names([objective.metric for objective in experiment.search.objectives])
            if self.study.user_attrs.get(PLANNED) != self.plan.total:
                self.study.set_user_attr(PLANNED, self.plan.total)

    def _same_experiment(self) -> None:
        mine = identity(self.experiment)
        theirs = self.study.user_attrs.get(EXPERIMENT)
        if theirs is None:
            self.study.set_user_attr(EXPERIMENT, mine)
        elif theirs != mine:
            raise UserError(
                "a study of this name exists with another experiment",
                path="name",
                seen=self.name,
                allowed="one experiment per study; only trials, resources and stores may change",
                remedy="give the changed experiment another name, or use another --home; `hybridbatch extend` changes "
                "the space of trials to come (and ends its work when it was killed in the middle)",
            )

    def extend(self, extended: Experiment) -> None:
        """Plan more trials, or another space for those to come; from here on the ledger is that of ``extended``."""
        with readable_store_errors(self.url), exclusive(self._database, self.name):
            mine = identity(extended)
            content = extended.model_dump_json()
            entry = {"at": datetime.now(UTC).isoformat(), "identity": mine, "experiment": content}
            self.study.set_user_attr(EXTENSIONS, [*self.study.user_attrs.get(EXTENSIONS, []), entry])
            self.study.set_user_attr(PLANNED, planned_trials(extended).total)
            self.study.set_user_attr(EXPERIMENT, mine)  # last: from here on it holds

    def next_assignment(self, begun: Callable[[int], Begun] = lambda number: Begun()) -> Assignment | None:
        """Return a trial to run, or None when all are finished or in other hands.

        First come trials that nobody works on any more, then new ones.

        Args:
            begun: Tells what the folder of a trial knows of it: the ledger may have been lost.
        """
        with readable_store_errors(self.url), exclusive(self._database, self.name):
            trials = self._trials()
            for trial in trials:
                lapsed = trial.state == TrialState.RUNNING and has_lapsed(trial.user_attrs.get(LEASE))
                if (lapsed or trial.state == TrialState.WAITING) and trial.number not in self._mine:
                    if trial.state == TrialState.WAITING:
                        self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
                    return self._take(trial.number, trial._trial_id, trial, begun)
            if len(trials) >= self.plan.total:
                return None
            trial_id = self.storage.create_new_trial(self.study._study_id)
            return self._take(self.storage.get_trial_number_from_id(trial_id), trial_id, None, begun)

    def _take(self, number: int, trial_id: int, there: FrozenTrial | None, begun: Callable[[int], Begun]) -> Assignment:
        """Take a trial into this driver's hands; ``there`` is what the ledger holds of it, None of a new one."""
        before = begun(number)
        self.storage.set_trial_user_attr(trial_id, LEASE, lease(self.owner))
        known = (attempts.read(there.user_attrs) if there else ()) or before.attempts
        if not before.finished:
            known = attempts.begin(known, self.owner, before.resumes_at, before.reached)
        self._write_attempts(trial_id, known)
        baseline = None
        if number < len(self.plan.baselines):
            baseline = self.plan.baselines[number].name
            self.storage.set_trial_user_attr(trial_id, BASELINE, baseline)
        params = self._params(number, trial_id, dict(there.params) if there else {}, before.params or {})
        self._mine[number] = trial_id
        return Assignment(number, params, baseline, self._resolved(number, params))

    def _resolved(self, number: int, params: dict[str, Any]) -> Experiment | UserError:
        try:
            return resolve(self.experiment, self.plan, number, params)
        except UserError as error:
            if number < len(self.plan.baselines):
                raise
            return error  # the search may draw values that do not go together

    def _params(self, number: int, trial_id: int, drawn: dict[str, Any], begun: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a trial, drawing those that neither the ledger nor its folder knows."""
        if number < len(self.plan.baselines):
            self._record_baseline(number, trial_id)
            return {}
        fixed = begun | self.plan.fixed(number)
        trial = optuna.Trial(self.study, trial_id)
        for path, distribution in self._distributions.items():
            if path in fixed:
                value = distribution.to_internal_repr(fixed[path])
                self.storage.set_trial_param(trial_id, path, value, distribution)
                drawn[path] = distribution.to_external_repr(value)
            else:
                drawn[path] = trial._suggest(path, distribution)
        return drawn

    def _record_baseline(self, number: int, trial_id: int) -> None:
        """Let the sampler learn from a baseline where its values lie in the search space."""
        content = resolve(self.experiment, self.plan, number, {}).model_dump(mode="json")
        for path, distribution in self._distributions.items():
            value: Any = content
            for part in path.split("."):
                value = value[int(part)] if isinstance(value, list) else (value or {}).get(part)
            if contains(distribution, value):
                self.storage.set_trial_param(trial_id, path, distribution.to_internal_repr(value), distribution)

    def report(self, number: int, rung: Rung) -> bool | None:
        """Record a rung; return whether the trial goes on, or None if it is not in this driver's hands any more."""
        with readable_store_errors(self.url), exclusive(self._database, self.name):
            trial = self.storage.get_trial(self._id(number))
            return self._rungs.decide(trial, rung) if self._holds(trial) else None

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
        with readable_store_errors(self.url), exclusive(self._database, self.name):
            trial = self.storage.get_trial(self._id(number))
            if not self._holds(trial):
                return False
            ended = attempts.end(attempts.read(trial.user_attrs), cause, detail, begun.reached)
            self._write_attempts(trial._trial_id, attempts.begin(ended, self.owner, begun.resumes_at, None))
            return True

    def attempts_at(self, number: int) -> Attempts:
        """Return all attempts at a trial."""
        with readable_store_errors(self.url):
            return attempts.read(self.storage.get_trial(self._id(number)).user_attrs)

    def _write_attempts(self, trial_id: int, made: Attempts) -> None:
        self.storage.set_trial_user_attr(trial_id, attempts.ATTEMPTS, attempts.written(made))

    def tell(self, result: TrialResult) -> None:
        """Record the outcome of a trial; a second time changes nothing."""
        with readable_store_errors(self.url), exclusive(self._database, self.name):
            trial_id = self._id(result.number)
            trial = self.storage.get_trial(trial_id)
            if not trial.state.is_finished():
                if trial.state == TrialState.WAITING:  # given back when its result was being written
                    self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
                self._rungs.record(trial, result.rungs)  # all known, unless the ledger is made anew from the folders
                values, state, reason = result.values, TOLD[result.state], result.reason
                if any(math.isnan(value) for value in values or ()):  # no sampler can learn from it
                    values, state, reason = None, TrialState.FAIL, "an objective has no value on the selection set"
                excess = {one.name: one.excess(result.selection) for one in self.experiment.search.constraints}
                if values is not None and any(map(math.isnan, excess.values())):
                    values, state, reason = None, TrialState.FAIL, "a constraint has no value on the selection set"
                for name, value in excess.items() if values is not None else ():  # where Optuna's samplers look for it
                    self.storage.set_trial_system_attr(trial_id, f"{_CONSTRAINTS_KEY}:{name}", value)
                if reason:
                    self.storage.set_trial_user_attr(trial_id, REASON, reason)
                measures = {name: one.summary for name, one in result.report.items()}
                if measures:
                    self.storage.set_trial_user_attr(trial_id, MEASURES, measures)
                # Before the state: a finished trial of Optuna stays as it is.
                made = attempts.read(trial.user_attrs)
                ended = attempts.end(made, _cause(result), result.reason, result.steps, result.finished)
                self._write_attempts(trial_id, ended)
                self.study.tell(result.number, values, state)
        self._mine.pop(result.number, None)

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
        trial_id = self._mine.pop(number, None)
        if trial_id is not None:
            with readable_store_errors(self.url), exclusive(self._database, self.name):
                trial = self.storage.get_trial(trial_id)
                if self._holds(trial):
                    self._put_back(trial, cause, detail, reached)

    def give_back(self, number: int, reached: int | None) -> bool:
        """Take a trial out of the hands of a driver that is gone; return whether it was.

        Args:
            number: The trial.
            reached: The last step that it is known to have done.
        """
        with readable_store_errors(self.url), exclusive(self._database, self.name):
            trial = self.storage.get_trial(self._id(number))
            lapsed = trial.state == TrialState.RUNNING and has_lapsed(trial.user_attrs.get(LEASE))
            if lapsed:
                self._put_back(trial, "driver_lost", None, reached)
            return lapsed

    def _put_back(self, trial: FrozenTrial, cause: Cause, detail: str | None, reached: int | None) -> None:
        made = attempts.read(trial.user_attrs)
        self._write_attempts(trial._trial_id, attempts.end(made, cause, detail, reached))
        self.storage.set_trial_user_attr(trial._trial_id, LEASE, None)
        self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

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
            for trial in self._trials()
            if not trial.state.is_finished() and has_lapsed(trial.user_attrs.get(LEASE))
        ]

    def running(self) -> set[int]:
        """Return the numbers of trials in living hands."""
        return {
            trial.number
            for trial in self._trials()
            if trial.state == TrialState.RUNNING and not has_lapsed(trial.user_attrs.get(LEASE))
        }

    def counts(self) -> Counts:
        """Return the trials by state. One whose driver is dead counts as waiting."""
        trials = self._trials()
        states = [trial.state for trial in trials]
        running = len(self.running())
        complete, pruned, failed = (states.count(TOLD[name]) for name in ("complete", "pruned", "failed"))
        waiting = max(self.plan.total, len(trials)) - complete - pruned - failed - running
        return Counts(complete, pruned, failed, running, waiting)

    def all_attempts(self) -> list[Attempts]:
        """Return the attempts at every trial."""
        return [attempts.read(trial.user_attrs) for trial in self._trials()]

    def keep_leases(self) -> None:
        """Renew the leases of the trials in hand from a thread, until :meth:`close`."""

        def renew() -> None:
            while not self._renewal.wait(LEASE_SECONDS / 4):
                try:
                    with exclusive(self._database, self.name):
                        for trial_id in list(self._mine.values()):
                            if self._holds(self.storage.get_trial(trial_id)):
                                self.storage.set_trial_user_attr(trial_id, LEASE, lease(self.owner))
                except Exception as error:  # a locked or lost store: the next round tries again, leases have some left
                    _log.warning("leases could not be renewed: %s", error)

        threading.Thread(target=renew, name=RENEWER, daemon=True).start()

    def close(self) -> None:
        """Stop renewing and give back what is still in hand."""
        self._renewal.set()
        try:
            for number in self.in_hand():
                self.release(number)
        finally:
            self._database.engine.dispose()

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)

    def _trials(self) -> list[FrozenTrial]:
        with readable_store_errors(self.url):
            return self.storage.get_all_trials(self.study._study_id, deepcopy=False)


def _cause(result: TrialResult) -> Cause:
    return "error" if result.state == "failed" else "finished"


def extended_experiment(name: str, url: str) -> dict[str, Any] | None:
    """Return the experiment that a study was last extended to, as JSON; None when it never was or is not there."""
    with readable_store_errors(url):
        try:
            study = optuna.load_study(study_name=name, storage=open_storage(url))
        except KeyError:
            return None
        known = study.user_attrs
    held = [one for one in known.get(EXTENSIONS, ()) if one["identity"] == known.get(EXPERIMENT)]
    return dict(json.loads(held[-1]["experiment"])) if held else None


def identity(experiment: Experiment) -> str:
    """Return the fingerprint of what makes an experiment this one: all but trials, resources and stores."""
    # Without defaults: a newer version that knows one more key does not make it another experiment.
    content = experiment.model_dump(
        mode="json", exclude={"resources": True, "stores": True, "search": {"trials"}}, exclude_defaults=True
    )
    data = experiment.data
    names = [source.dataset for source in (*data.train, data.selection, *data.report)]  # a default of each one's class
    return fingerprint.of_json([content, names])
