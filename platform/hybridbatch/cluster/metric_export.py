"""Figures of a study for Prometheus, handed to Ray, whose agent on each node serves them.

Nothing here may slow or stop training: recording is a call into Ray that waits for nobody, and what fails is logged
once and otherwise passed over.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray.util import metrics as ray_metrics

from hybridbatch.cluster.metric_names import METRICS, ExportedMetric
from hybridbatch.cluster.metric_targets import write_targets
from hybridbatch.search.session import Observer, StudySession
from hybridbatch.spec.attempts import Cause, interruptions, repeated_steps
from hybridbatch.spec.folders import TrialFolder
from hybridbatch.spec.trial import Rung, TrialResult, TrialSpec
from hybridbatch.training.progress import Progress, read_progress

# Besides the objectives of the search: a study may have dozens of measures, and each is a series for each trial.
MEASURES = ("map_mono", "map_cross", "map_multi", "rank_distance")
CAUSES: tuple[Cause, ...] = ("out_of_memory", "preempted", "resized", "worker_lost", "driver_lost", "stopped")
_INTERVAL = 8.0  # seconds between two looks; Ray hands gauges on every ten, and forgets them after twenty
_END_SECONDS = 5.0  # what the end of a study waits for a look that is under way
_log = logging.getLogger(__name__)


class Exporter:
    """Hands figures to Ray under the names of :data:`~hybridbatch.cluster.metric_names.METRICS`."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._failed: set[str] = set()

    def record(self, name: str, value: float, **tags: str) -> None:
        """Add to a counter, set a gauge or observe a value of a histogram; what is not finite says nothing.

        Never raises.
        """
        if math.isfinite(value):
            self.attempt(name, lambda: self._record(METRICS[name], value, tags))

    def _record(self, metric: ExportedMetric, value: float, tags: dict[str, str]) -> None:
        made = self._made.get(metric.name) or self._made.setdefault(metric.name, _make(metric))
        _RECORD[metric.kind](made, value, tags)

    def attempt(self, what: str, export: Callable[[], None]) -> None:
        """Export something; log why it cannot be, the first time."""
        try:
            export()
        except Exception as error:  # whatever it is: a figure is worth no trial
            if what not in self._failed:
                self._failed.add(what)
                _log.warning("%s is not exported: %s: %s", what, type(error).__name__, error)


def _make(metric: ExportedMetric) -> Any:
    if metric.kind == "histogram":
        return ray_metrics.Histogram(metric.name, metric.help, list(metric.buckets), metric.tags)
    made = {"counter": ray_metrics.Counter, "gauge": ray_metrics.Gauge}[metric.kind]
    return made(metric.name, metric.help, metric.tags)


_RECORD: dict[str, Callable[[Any, float, dict[str, str]], None]] = {
    "counter": lambda metric, value, tags: metric.inc(value, tags),
    "gauge": lambda metric, value, tags: metric.set(value, tags),
    "histogram": lambda metric, value, tags: metric.observe(value, tags),
}


class TrainingMetrics:
    """Exports how fast one trial after the other is trained; lives in the first worker of a group."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    def of(self, spec: TrialSpec) -> Callable[[Progress], None]:
        """Return what takes note of how far a trial is, from the checkpoint on that it goes on from."""
        study, size, done = spec.study, spec.experiment.batches.size, 0

        def watch(now: Progress) -> None:
            nonlocal done
            if now.phase == "adapting":  # these are steps of another training
                return
            if now.phase == "training" and now.step > done:
                # Not by trial: Prometheus sees no growth in a series that it meets once, as those of short trials.
                self._exporter.record("hybridbatch_steps", now.step - done, study=study)
                self._exporter.record("hybridbatch_pairs", (now.step - done) * size, study=study)
            done = now.step

        return watch


class StudyMetrics:
    """Exports what a driver knows of its study: passes everything on to the observer that was there before.

    Args:
        session: The study.
        exporter: Where to.
    """

    def __init__(self, session: StudySession, exporter: Exporter) -> None:
        self._session, self._exporter, self._study = session, exporter, session.folder.name
        self._told: Observer = session.observer
        objectives = (one.metric for one in session.experiment.search.objectives)
        self._measures = tuple(dict.fromkeys((*MEASURES, *objectives)))
        self._newest: dict[tuple[int, str], float] = {}

    def started(self, spec: TrialSpec, folder: TrialFolder) -> None:
        """Pass it on."""
        self._told.started(spec, folder)

    def reported(self, number: int, rung: Rung, goes_on: bool) -> None:
        """Export the measures of a rung."""
        found = {(number, name): rung.summary[name] for name in self._measures if name in rung.summary}
        self._newest |= found
        self._record_measures(found)
        self._told.reported(number, rung, goes_on)

    def finished(self, result: TrialResult) -> None:
        """Pass it on."""
        self._told.finished(result)

    def _record_measures(self, measures: dict[tuple[int, str], float]) -> None:
        for (number, name), value in measures.items():
            tags = {"study": self._study, "trial": str(number), "measure": name}
            self._exporter.record("hybridbatch_selection_measure", value, **tags)

    def ledger_call(self, call: str, seconds: float) -> None:
        """Export how long a call of the ledger took."""
        self._exporter.record("hybridbatch_ledger_seconds", seconds, study=self._study, call=call)

    def look(self) -> None:
        """Export how the study stands; what fails now is tried again at the next look.

        Again and again, since Ray forgets a gauge that was not set for twenty seconds.
        """
        self._exporter.attempt("what the ledger says", self._look_into_ledger)
        self._exporter.attempt("the loss of running trials", self._look_at_running_trials)
        self._record_measures(dict(self._newest))

    def _look_at_running_trials(self) -> None:
        for number in self._session.ledger.in_hand():
            progress = read_progress(self._session.folder.trial(number).progress)
            if progress and progress.loss is not None and progress.phase != "adapting":
                tags = {"study": self._study, "trial": str(number)}
                self._exporter.record("hybridbatch_training_loss", progress.loss, **tags)

    def _look_into_ledger(self) -> None:
        counts, attempts = vars(self._session.counts()), self._session.ledger.all_attempts()
        for state, count in counts.items():
            self._exporter.record("hybridbatch_trials", count, study=self._study, state=state)
        causes = sum((interruptions(of_trial) for of_trial in attempts), Counter[str]())
        for cause in CAUSES:
            self._exporter.record("hybridbatch_interruptions", causes[cause], study=self._study, cause=cause)
        repeated = sum(repeated_steps(of_trial) for of_trial in attempts)
        self._exporter.record("hybridbatch_repeated_steps", repeated, study=self._study)


@contextmanager
def exported(session: StudySession) -> Iterator[None]:
    """Export the figures of a study while a driver works on it, in a process that is connected to Ray."""
    exporter = Exporter()
    study = StudyMetrics(session, exporter)
    before = session.observer, session.ledger.latency
    session.observer, session.ledger.latency = study, study.ledger_call
    over = threading.Event()
    targets = session.home.logs / "metrics" / f"{session.folder.name}.json"

    def look() -> None:
        going = True
        while going:
            study.look()
            exporter.attempt("the list of nodes", lambda: write_targets(targets))
            going = not over.wait(_INTERVAL)

    looking = threading.Thread(target=look, name="hybridbatch-metrics", daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join(_END_SECONDS)
        session.observer, session.ledger.latency = before
        if not looking.is_alive():  # else the store does not answer
            study.look()
        exporter.attempt("the list of nodes", lambda: targets.unlink(missing_ok=True))
