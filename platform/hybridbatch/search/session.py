"""A study being worked on: ledger, folders, tracking and archive, in the order that loses nothing.

assignment -> spec.json -> (the trial runs) -> result.json -> ledger -> tracking -> archive
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.provenance import provenance
from hybridbatch.search.archive import Archive
from hybridbatch.search.ledger import Assignment, Counts, Ledger
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder, StudyFolder, TrialFolder, read_record
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import Mixture, Rung, TrialResult, TrialSpec
from hybridbatch.tracking.projection import ProjectionReport, project_study
from hybridbatch.tracking.store import TrackingStore
from hybridbatch.tracking.writer import TrackingWriter


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
        self.ledger = Ledger(experiment, ledger_url(experiment, home))
        atomic.write_text(self.folder.experiment, experiment.model_dump_json(indent=1) + "\n")
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
                self.folder.trial(number).remove_what_only_a_running_trial_needs()
                self.ledger.tell(result)
                told += 1
        return told

    def next_trial(self) -> TrialSpec | None:
        """Return a trial to run, its spec written to its folder; None when there is none for this driver."""
        while (assignment := self.ledger.next_assignment(self._begun)) is not None:
            folder = self.folder.trial(assignment.number)
            result = folder.read_result()
            if result is None and isinstance(assignment.experiment, UserError):
                result = folder.write_result(self._impossible(assignment, assignment.experiment))
            if result is None:
                spec = self._spec(assignment, folder)
                self.observer.started(spec, folder)
                return spec
            self.finish(result)
        return None

    def _begun(self, number: int) -> dict[str, Any] | None:
        """Return what the search chose for a trial, as its folder has it: the ledger may have been lost."""
        folder = self.folder.trial(number)
        if folder.has_spec():
            return folder.read_spec().params
        result = folder.read_result()
        return result.params if result else None

    def _spec(self, assignment: Assignment, folder: TrialFolder) -> TrialSpec:
        if folder.has_spec():
            return folder.read_spec()  # begun before: what the folder says is what was begun
        spec = TrialSpec(
            study=self.folder.name,
            number=assignment.number,
            params=assignment.params,
            baseline=assignment.baseline,
            experiment=assignment.experiment,
        )
        folder.write_spec(spec)
        return spec

    def _impossible(self, assignment: Assignment, problem: UserError) -> TrialResult:
        """Return the result of a trial whose drawn values do not go together: one that failed before it began."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return TrialResult(
            study=self.folder.name,
            number=assignment.number,
            baseline=None,
            params=assignment.params,
            state="failed",
            reason=problem.render(),
            values=None,
            seed=self.experiment.training.seed,
            steps=0,
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

    def finish(self, result: TrialResult) -> None:
        """Record a result that lies in its folder."""
        folder = self.folder.trial(result.number)
        folder.remove_what_only_a_running_trial_needs()
        self.ledger.tell(result)
        self.writer.submit(folder)
        self.observer.finished(result)

    def counts(self) -> Counts:
        """Return the trials by state."""
        return self.ledger.counts()

    def close(self) -> ProjectionReport:
        """Give back what is unfinished, bring tracking and archive up to date; return what they have to say."""
        self.ledger.close()
        self.writer.close(timeout=120)
        report = project_study(self.folder, self.store)
        return replace(report, problems=report.problems + (self.archive.add_missing() if self.archive else ()))


def ledger_url(experiment: Experiment, home: HomeFolder) -> str:
    """Return the URL of the ledger of an experiment."""
    return experiment.stores.ledger or home.ledger_url


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
