"""A study being worked on: ledger, folders, tracking and archive, in the order that loses nothing.

assignment -> spec.json -> (the trial runs) -> result.json -> ledger -> tracking -> archive
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.provenance import provenance
from hybridbatch.search.archive import Archive
from hybridbatch.search.assignment import Assignment, Begun, Counts
from hybridbatch.search.ledger import Ledger
from hybridbatch.spec.attempts import Cause
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder, StudyFolder, TrialFolder, read_record
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import Mixture, Rung, TrialResult, TrialSpec
from hybridbatch.tracking.projection import ProjectionReport, project_study
from hybridbatch.tracking.store import TrackingStore
from hybridbatch.tracking.writer import TrackingWriter
from hybridbatch.training.progress import read_progress


class Observer(Protocol):
    """Whoever watches a study: the live table, a test."""

    def started(self, spec: TrialSpec, folder: TrialFolder) -> None:
        """A trial starts or goes on."""

    def reported(self, number: int, rung: Rung, goes_on: bool) -> None:
        """A trial reached a rung."""

    def finished(self, result: TrialResult) -> None:
        """A trial is finished."""


class StudySession:
    """One driver's work on one study.

    Args:
        experiment: The experiment.
        home: The home folder.
        data_root: Folder that relative paths of data sets start from.
        trials: Searched trials, in place of ``search.trials``.
        observer: Is told what happens.
    """

    def __init__(
        self, experiment: Experiment, home: HomeFolder, data_root: Path, trials: int | None, observer: Observer
    ) -> None:
        if trials is not None:  # from here on part of the experiment, so that `resume` knows
            search = experiment.search.model_copy(update={"trials": trials})
            experiment = experiment.model_copy(update={"search": search})
        self.experiment, self.home, self.observer = experiment, home, observer
        self.location = DataLocation(data_root, home.cache)
        self.folder: StudyFolder = home.study(experiment.name)
        archive = experiment.stores.archive
        self.archive = Archive(archive, self.folder) if archive else None
        self.ledger = open_ledger(experiment, home)
        self.folder.write_experiment(experiment)
        self.folder.write_taken(self.ledger.taken)
        self.store = tracking_store(experiment, home)
        self.writer = TrackingWriter(self.folder, self.store, archive=self.archive.add if self.archive else None)
        self.told_from_folders = self._tell_what_is_finished()
        self.ledger.keep_leases()

    def _tell_what_is_finished(self) -> int:
        """Tell the ledger of trials that finished while nobody listened; return how many."""
        told = 0
        for number in self.ledger.unfinished():
            result = self.folder.trial(number).read_result()
            if result is not None:
                tell_from_folder(self.ledger, self.folder.trial(number), result)
                told += 1
        return told

    def next_trial(self) -> TrialSpec | None:
        """Return a trial to run, its spec written to its folder; None when there is none for this driver now.

        Then :attr:`later` says whether there may be one once trials in other hands are over.
        """
        while (assignment := self.ledger.next_assignment(self._begun)) is not None:
            folder = self.folder.trial(assignment.number)
            result = folder.read_result()
            if result is None and isinstance(assignment.experiment, UserError):
                problem = assignment.experiment.render()
                spec = TrialSpec(
                    study=self.folder.name,
                    number=assignment.number,
                    params=assignment.params,
                    baseline=None,
                    experiment=self.experiment,
                    replicate_of=assignment.replicate_of,
                )
                result = folder.write_result(self._failed(spec, problem))
            if result is None:
                spec = self._spec(assignment, folder)
                self.observer.started(spec, folder)
                return spec
            self.finish(result)
        return None

    @property
    def later(self) -> bool:
        """Whether asking again makes sense, though :meth:`next_trial` had none."""
        return self.ledger.later

    def _begun(self, number: int) -> Begun:
        """Return what the folder of a trial tells of work on it: the ledger may have been lost."""
        folder = self.folder.trial(number)
        result = folder.read_result()
        begun = folder.read_spec() if folder.has_spec() else result
        return Begun(
            params=begun.params if begun else None,
            resumes_at=folder.newest_step(),
            reached=last_step(folder),
            attempts=folder.read_attempts(),
            finished=result is not None,
            replicate_of=begun.replicate_of if begun else None,
        )

    def _spec(self, assignment: Assignment, folder: TrialFolder) -> TrialSpec:
        if folder.has_spec():
            return folder.read_spec()  # begun before: what the folder says is what was begun
        spec = TrialSpec(
            study=self.folder.name,
            number=assignment.number,
            params=assignment.params,
            baseline=assignment.baseline,
            experiment=assignment.experiment,
            replicate_of=assignment.replicate_of,
        )
        folder.write_spec(spec)
        return spec

    def _failed(self, spec: TrialSpec, reason: str) -> TrialResult:
        """Return the result of a trial that failed without a worker that could say so."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return TrialResult(
            study=self.folder.name,
            number=spec.number,
            baseline=spec.baseline,
            replicate_of=spec.replicate_of,
            params=spec.params,
            state="failed",
            reason=reason,
            values=None,
            seed=spec.experiment.training.seed,
            steps=self.folder.trial(spec.number).newest_step(),
            best_step=0,
            rungs=(),
            report={},
            mixture=Mixture(batches={}, datasets={}, pairs={}),
            seconds={"train": 0.0, "evaluate": 0.0, "total": 0.0},
            provenance=provenance(),
            leakage=(),
            started=now,
            finished=now,
        )

    def report(self, number: int, rung: Rung) -> bool | None:
        """Record a rung; return whether the trial goes on, or None if another driver has it by now."""
        goes_on = self.ledger.report(number, rung)
        if goes_on is not None:
            self.observer.reported(number, rung, goes_on)
        return goes_on

    def interrupt(self, number: int, cause: Cause, detail: str | None = None) -> bool:
        """Record that the workers of a trial were interrupted; return False if another driver has it by now."""
        return self.ledger.interrupt(number, cause, detail, self._begun(number))

    def release(self, number: int, cause: Cause = "stopped", detail: str | None = None) -> None:
        """Give a trial back unfinished, for whoever asks next."""
        self.ledger.release(number, cause, detail, last_step(self.folder.trial(number)))

    def fail(self, number: int, reason: str) -> None:
        """Finish a trial, begun before, that no worker lives long enough to finish."""
        folder = self.folder.trial(number)
        self.finish(folder.write_result(self._failed(folder.read_spec(), reason)))

    def finish(self, result: TrialResult) -> None:
        """Record a result that lies in its folder."""
        folder = self.folder.trial(result.number)
        tell_from_folder(self.ledger, folder, result)
        self.writer.submit(folder)
        self.observer.finished(result)

    def counts(self) -> Counts:
        """Return the trials by state."""
        return self.ledger.counts()

    def close(self) -> ProjectionReport:
        """Give back what is unfinished, bring tracking and archive up to date; return what they have to say."""
        with contextlib.ExitStack() as closing:  # on a full disk too: no thread goes on after this
            closing.callback(self.writer.close, timeout=120)
            closing.callback(self.ledger.close)
            for number in self.ledger.in_hand():
                self.release(number)
        report = project_study(self.folder, self.store)
        return replace(report, problems=report.problems + (self.archive.add_missing() if self.archive else ()))


def tell_from_folder(ledger: Ledger, folder: TrialFolder, result: TrialResult) -> None:
    """Tell the ledger of a trial whose folder holds its result, and keep there what the ledger knows of attempts."""
    folder.remove_what_only_a_running_trial_needs()
    ledger.tell(result)
    attempts = ledger.attempts_at(result.number)
    if attempts != folder.read_attempts():
        folder.write_attempts(attempts)


def last_step(folder: TrialFolder) -> int | None:
    """Return the last step that an unfinished trial is known to have done."""
    progress = read_progress(folder.progress)
    # while a stage before the first step is trained, the steps are those of the stage
    return progress.step if progress and progress.phase != "adapting" else None


def ledger_url(experiment: Experiment, home: HomeFolder) -> str:
    """Return the URL of the ledger of an experiment."""
    return experiment.stores.ledger or home.ledger_url


def open_ledger(experiment: Experiment, home: HomeFolder) -> Ledger:
    """Return the ledger of an experiment.

    Raises:
        StoreError: If it cannot be reached.
        UserError: As :class:`Ledger`.
    """
    return Ledger(experiment, ledger_url(experiment, home), home.study(experiment.name).read_taken())


def tracking_store(experiment: Experiment, home: HomeFolder) -> TrackingStore:
    """Return the MLflow store of an experiment."""
    url = experiment.stores.tracking
    return TrackingStore(url) if url else TrackingStore(home.tracking_url, home.artifacts)


def load_study(home: HomeFolder, name: str) -> Experiment:
    """Return the experiment of a study.

    Raises:
        UserError: If there is no such study.
    """
    from hybridbatch.spec.reader import validate

    folder = home.study(name)
    if not folder.experiment.exists():
        there = [study.name for study in home.studies()]
        raise UserError(
            "no such study",
            file=home.path,
            seen=name,
            allowed=", ".join(there) or "none yet",
            remedy="`hybridbatch run FILE` makes one; another home folder is named with --home",
        )
    return validate(read_record(folder.experiment, json.loads), folder.experiment)
