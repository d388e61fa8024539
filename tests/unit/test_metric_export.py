"""What is exported of a study is what happened in it, and a figure that cannot be exported stops nothing."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import get_args

import pytest
from tests.exported_figures import KeptFigures
from tests.small_study import experiment, rung
from tests.study_fixtures import VARIED, Watcher
from tests.tiny_trial import InterruptedTrialError, Rungs, make_workshop, spec_of

from hybridbatch.cluster.metric_export import CAUSES, Exporter, StudyMetrics, TrainingMetrics
from hybridbatch.cluster.metric_names import METRICS
from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.attempts import NO_INTERRUPTION, Cause
from hybridbatch.spec.folders import HomeFolder, TrialFolder
from hybridbatch.training.progress import Progress
from hybridbatch.training.trial import run_trial

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray, when it is imported
STEPS, PAIRS = "hybridbatch_steps", "hybridbatch_pairs"


def test_names_are_names_to_prometheus_and_none_stands_for_two() -> None:
    series = [name for metric in METRICS.values() for name in metric.series]
    assert len(series) == len(set(series))
    for metric in METRICS.values():
        assert re.fullmatch(r"hybridbatch_[a-z_]+", metric.name)
        assert not metric.name.endswith("_total"), "Prometheus adds it"
        assert all(re.fullmatch(r"[a-z_]+", tag) for tag in metric.tags)
        assert metric.help
        assert metric.unit
        assert (metric.kind == "histogram") == bool(metric.buckets)
        assert list(metric.buckets) == sorted(metric.buckets)


def test_every_cause_of_an_interruption_is_exported() -> None:
    assert {*CAUSES, *NO_INTERRUPTION} == set(get_args(Cause))


def test_steps_and_pairs_add_up_over_an_interruption(tmp_path: Path) -> None:
    made = experiment({"training": {"steps": 6, "learning_rate": 0.01, "evaluate_every": 2}, "batches.size": 8})
    spec, folder, workshop, figures = spec_of(made), TrialFolder(tmp_path / "00000"), make_workshop(tmp_path), None
    for verdicts in (Rungs(interrupt_at=2), Rungs()):
        figures = KeptFigures()
        watch = TrainingMetrics(figures).of(spec)
        try:
            run_trial(spec, folder, workshop, verdicts, watch=watch)
        except InterruptedTrialError:
            assert sum(figures.values(STEPS)) == 2
    assert figures is not None
    assert sum(figures.values(STEPS)) == 4, "the steps before the checkpoint were done by others"
    assert sum(figures.values(PAIRS)) == 4 * 8


def test_steps_of_a_stage_before_the_first_step_are_no_steps_of_the_trial() -> None:
    figures = KeptFigures()
    watch = TrainingMetrics(figures).of(spec_of(experiment()))
    for phase, step in (("adapting", 3), ("loading", 0), ("training", 1), ("evaluating", 2), ("training", 3)):
        watch(Progress(phase=phase, step=step, steps=6))
    assert figures.values(STEPS) == [1, 1]


def test_a_study_exports_its_measures_and_what_the_ledger_says(home: HomeFolder, small_data: Path) -> None:
    watcher, figures = Watcher(), KeptFigures()
    session = StudySession(experiment(VARIED), home, small_data, None, watcher)
    study = StudyMetrics(session, figures)
    session.observer, session.ledger.latency = study, study.ledger_call
    run_local(session)
    study.look()
    for state, count in vars(session.counts()).items():
        assert figures.values("hybridbatch_trials", study="small", state=state) == [count]
    results = session.folder.results()
    for result in results:
        for name in ("map_mono", "map_cross", "map_multi", "rank_distance"):
            seen = figures.values("hybridbatch_selection_measure", trial=str(result.number), measure=name)
            known = [rung.summary[name] for rung in result.rungs]
            assert seen == known + known[-1:], "the newest again at the last look: Ray forgets what is not set"
    assert any(result.rungs for result in results)
    assert watcher.numbers("finished") == [result.number for result in results], "who watched before still does"
    calls = {tags["call"] for name, _, tags in figures.kept if name == "hybridbatch_ledger_seconds"}
    assert {"next_assignment", "report", "tell"} <= calls
    session.close()


def test_interruptions_and_steps_done_again_are_those_of_the_ledger(home: HomeFolder, small_data: Path) -> None:
    session = StudySession(experiment({"search.baselines": {}}), home, small_data, None, Watcher())
    figures = KeptFigures()
    spec = session.next_trial()
    assert spec is not None
    folder = session.folder.trial(spec.number)
    (folder.checkpoints / "step-00000002").mkdir(parents=True)
    folder.progress.write_text(Progress(phase="training", step=5, steps=6, loss=1.5).model_dump_json())
    assert session.interrupt(spec.number, "preempted")
    StudyMetrics(session, figures).look()
    causes = {cause: figures.values("hybridbatch_interruptions", cause=cause) for cause in CAUSES}
    assert causes == {cause: [float(cause == "preempted")] for cause in CAUSES}
    assert figures.values("hybridbatch_repeated_steps") == [3]
    assert figures.values("hybridbatch_training_loss", trial=str(spec.number)) == [1.5]
    session.close()


def test_a_lost_ledger_is_logged_once(home: HomeFolder, small_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    session = StudySession(experiment(), home, small_data, None, Watcher())
    with session.ledger.storage._backend.engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE trials")
        connection.commit()
    study = StudyMetrics(session, Exporter())
    with caplog.at_level(logging.WARNING):
        study.look()
        study.look()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("hybridbatch")]
    assert [message.split(":")[0] for message in ours] == ["what the ledger says is not exported"]


def test_a_figure_that_cannot_be_exported_is_logged_once_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Exporter()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            exporter.record("hybridbatch_trials", 1.0, study="small")  # no state: Ray refuses it
            exporter.record("hybridbatch_nothing", 1.0)
            exporter.record("hybridbatch_training_loss", float("nan"), study="small", trial="0")
    assert len(caplog.messages) == 2
    assert "hybridbatch_trials is not exported: ValueError: Missing value for tag key(s): state." in caplog.messages[0]
    assert caplog.messages[1].startswith("hybridbatch_nothing is not exported: KeyError")


def test_a_rung_without_a_measure_exports_those_it_has(home: HomeFolder, small_data: Path) -> None:
    session, figures = StudySession(experiment(), home, small_data, None, Watcher()), KeptFigures()
    StudyMetrics(session, figures).reported(0, rung(2, 0.5, "map_mono", of_no_interest=0.1), True)
    assert figures.kept == [
        ("hybridbatch_selection_measure", 0.5, {"study": "small", "trial": "0", "measure": "map_mono"})
    ]
    session.close()
