"""Trial folders to MLflow runs, in a real MLflow store on SQLite."""

from __future__ import annotations

import logging
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.trial_folders import (
    MIX,
    TEMPERATURE,
    experiment_json,
    sample_results,
    trial_result,
    write_study,
    write_trial,
)

from hybridbatch.tracking.projection import project_study, project_trial
from hybridbatch.tracking.quiet import one_line
from hybridbatch.tracking.records import PARAM_LIMIT, PROJECTED_TAG, TRIAL_TAG, experiment_params, record_of
from hybridbatch.tracking.store import StudyRuns, TrackingStore, runs_by_trial
from hybridbatch.tracking.writer import TrackingWriter

if TYPE_CHECKING:
    from mlflow.entities import Run

    from hybridbatch.spec.folders import StudyFolder

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow 3.17 with SQLAlchemy 2.1
FIRST_USE = """
import sys
from hybridbatch.tracking.store import StudyRuns, TrackingStore
StudyRuns(TrackingStore(sys.argv[1]), "somebody-elses")
"""


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated MLflow database (the migration takes seconds), made in a process whose terminal is watched."""
    file = tmp_path_factory.mktemp("mlflow") / "empty.db"
    command = [sys.executable, "-c", FIRST_USE, f"sqlite:///{file}"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, cwd=file.parent)
    assert (made.stdout, made.stderr) == ("", ""), "the first use of a store writes to the terminal"
    assert sorted(path.name for path in file.parent.iterdir()) == ["empty.db"]
    return file


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> TrackingStore:
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    return TrackingStore(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    results = [
        trial_result(0, baseline="hybrid"),
        trial_result(1, alpha=0.2),
        trial_result(2, state="pruned", reason="lower half"),
        trial_result(3, state="failed", reason="the loss is not finite"),
    ]
    return write_study(tmp_path / "studies" / "quickstart", results)


def everything(store: TrackingStore, study: str = "quickstart") -> dict[str, object]:
    """Return all that MLflow holds of a study, every value of every metric included."""
    runs = StudyRuns(store, study)
    return {
        run.info.run_id: (
            run.info.to_proto().SerializeToString(deterministic=True),
            run.data.params,
            run.data.tags,
            {key: history(runs, run, key) for key in run.data.metrics},
            sorted(item.path for item in runs.client.list_artifacts(run.info.run_id)),
        )
        for run in runs.search("")
    }


def history(runs: StudyRuns, run: Run, key: str) -> list[tuple[int, float]]:
    return [(at.step, at.value) for at in runs.client.get_metric_history(run.info.run_id, key)]


def child(store: TrackingStore, number: int) -> Run:
    run = StudyRuns(store, "quickstart").of_trial(f"quickstart/{number}")
    assert run is not None
    return run


def test_one_parent_and_one_child_for_each_trial(store: TrackingStore, study: StudyFolder) -> None:
    report = project_study(study, store)

    assert (report.n_new, report.n_already, report.problems) == (4, 0, ())
    assert runs_by_trial(store, "quickstart") == {f"quickstart/{number}": 1 for number in range(4)}
    runs = list(StudyRuns(store, "quickstart").search(""))
    parents = [run for run in runs if TRIAL_TAG not in run.data.tags]
    assert [run.info.run_name for run in parents] == ["quickstart"]
    assert parents[0].info.status == "FINISHED"
    children = [run for run in runs if TRIAL_TAG in run.data.tags]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    assert child(store, 0).info.run_name == "trial 00000 hybrid"
    assert [child(store, number).info.status for number in range(4)] == ["FINISHED", "FINISHED", "KILLED", "FAILED"]
    assert child(store, 3).data.tags["reason"] == "the loss is not finite"


def test_a_run_names_what_no_batch_held(tmp_path: Path) -> None:
    result = trial_result(0)
    note = "monolingual: world-facts de has 30 items, a batch needs 40"
    mixture = result.mixture.model_copy(update={"left_out": (note, "and another")})
    study = write_study(tmp_path / "quickstart", [result.model_copy(update={"mixture": mixture}), trial_result(1)])
    first, second = (record_of(folder, "quickstart") for folder in study.trials())
    assert first.tags["left_out"] == f"{note}\nand another"
    assert "left_out" not in second.tags
    assert not [point.key for point in first.metrics if "left_out" in point.key]


def test_a_run_has_a_curve_for_each_term_of_the_loss(tmp_path: Path) -> None:
    study = write_study(tmp_path / "quickstart", [trial_result(0), trial_result(1)])
    first, second = study.trials()
    terms = {"info_nce": 1.5, "bias-penalty": 0.25}
    first.write_curve(tuple(point.model_copy(update={"terms": terms}) for point in first.read_curve()))
    points = [point for point in record_of(first, "quickstart").metrics if point.key.startswith("train/loss_of/")]
    assert {(point.key, point.value) for point in points} == {
        ("train/loss_of/info_nce", 1.5),
        ("train/loss_of/bias-penalty", 0.25),
    }
    assert [point.step for point in points][:3:2] == [10, 20]
    assert not [point for point in record_of(second, "quickstart").metrics if "loss_of" in point.key]


def test_a_second_projection_changes_nothing(store: TrackingStore, study: StudyFolder) -> None:
    project_study(study, store)
    before = everything(store)

    report = project_study(study, store)

    assert (report.n_new, report.n_already, report.problems) == (0, 4, ())
    assert everything(store) == before


def test_what_a_run_holds(store: TrackingStore, study: StudyFolder) -> None:
    project_study(study, store)

    runs, run = StudyRuns(store, "quickstart"), child(store, 1)
    assert run.data.params[MIX] == "0.2"
    assert run.data.params[TEMPERATURE] == "0.05"
    assert run.data.params["data.train.0.dataset"] == "world-facts"
    assert "resources.workers" not in run.data.params
    result = study.trial(1).read_result()
    assert result is not None
    of_set = result.report["xquad-r"]
    assert {key: run.data.metrics[f"report/xquad-r/map/{key}"] for key in of_set.cells} == of_set.cells
    assert len(of_set.cells) == 121
    assert run.data.metrics["report/xquad-r/bias/zh"] == of_set.bias["zh"]
    assert run.data.metrics["objective/map_multi"] == (result.values or ())[0]
    assert run.data.metrics["mixture/batches/monolingual"] == 80  # a share of 0.2 in 400 steps
    assert history(runs, run, "selection/map_multi") == [(r.step, r.summary["map_multi"]) for r in result.rungs]
    assert [step for step, _ in history(runs, run, "train/loss")] == list(range(10, 401, 10))
    assert run.data.tags["tokenizer"] == "99aabbccddeeff00"
    assert run.data.tags["mlflow.source.git.commit"].startswith("0123456789abcdef")
    assert (run.info.start_time, run.info.end_time) == (1772366460000, 1772366472000)  # 12:01 and 12 s, 1 March 2026
    found = {item.path for item in runs.client.list_artifacts(run.info.run_id)}
    assert found == {"spec.json", "result.json", "curve.json", "packages.txt", "scores", "heat_maps"}
    local = store.artifacts / "quickstart" / run.info.run_id / "artifacts"  # type: ignore[operator]
    assert (local / "scores/xquad-r.parquet").read_bytes() == study.trial(1).scores("xquad-r").read_bytes()
    assert (local / "heat_maps/xquad-r.png").read_bytes().startswith(b"\x89PNG")
    assert (local / "packages.txt").read_text().splitlines() == ["mlflow==3.17.2", "optuna==5.0.0", "torch==2.13.0"]


def test_a_run_left_half_written_is_completed(store: TrackingStore, study: StudyFolder) -> None:
    from mlflow.entities import Metric

    record = record_of(study.trial(1), "quickstart")
    runs = StudyRuns(store, "quickstart")
    half = runs.create_child(record, runs.parent(0, "").info.run_id, {"hybridbatch.result": record.fingerprint})
    some = [Metric(p.key, p.value, p.timestamp + 5, p.step) for p in record.metrics if p.key.startswith("train/")][:7]
    runs.client.log_batch(half.info.run_id, metrics=some)
    runs.client.log_param(half.info.run_id, MIX, "0.2")

    report = project_study(study, store)

    assert report.problems == ()
    whole = child(store, 1)
    assert whole.info.run_id == half.info.run_id
    assert whole.info.status == "FINISHED"
    assert whole.data.tags[PROJECTED_TAG] == record.fingerprint
    wanted: dict[str, list[tuple[int, float]]] = {}
    for point in record.metrics:
        wanted.setdefault(point.key, []).append((point.step, point.value))
    assert {key: history(runs, whole, key) for key in wanted} == wanted


def test_a_run_of_an_older_result_is_replaced(store: TrackingStore, study: StudyFolder) -> None:
    project_study(study, store)
    (study.trial(3).path / "result.json").unlink()  # by hand, and the failed trial was run again and is now complete
    write_trial(study, trial_result(3, alpha=0.7))

    report = project_study(study, store)

    assert (report.n_new, report.n_already, report.problems) == (1, 3, ())
    assert runs_by_trial(store, "quickstart")["quickstart/3"] == 1
    assert child(store, 3).info.status == "FINISHED"
    assert child(store, 3).data.params[MIX] == "0.7"


def test_more_than_one_batch_of_metrics_and_params(store: TrackingStore, tmp_path: Path) -> None:
    experiment = experiment_json("wide")
    experiment["backbone"] |= {f"setting_{index}": index for index in range(130)} | {"long": "x" * 7000}
    result = trial_result(0, study="wide", sets=("a", "b", "c", "d", "e", "f", "g", "h"))
    study = write_study(tmp_path / "wide", [result], experiment)
    record = record_of(study.trial(0), "wide")
    assert len(record.metrics) > 1000
    assert len(record.params) > 100

    assert project_study(study, store).problems == ()

    run = StudyRuns(store, "wide").of_trial("wide/0")
    assert run is not None
    assert run.data.params == record.params
    assert len(run.data.params["backbone.long"]) == PARAM_LIMIT
    assert set(run.data.metrics) == {point.key for point in record.metrics}


def test_the_model_is_uploaded_only_when_told(store: TrackingStore, study: StudyFolder) -> None:
    for number in (0, 1):
        study.trial(number).model.mkdir()
        (study.trial(number).model / "model.safetensors").write_bytes(b"weights")

    project_trial(study, study.trial(0), store)
    project_trial(study, study.trial(1), store, upload_model=True)

    client = StudyRuns(store, "quickstart").client
    assert client.list_artifacts(child(store, 0).info.run_id, "model") == []
    paths = [item.path for item in client.list_artifacts(child(store, 1).info.run_id, "model")]
    assert paths == ["model/model.safetensors"]


def test_a_broken_folder_does_not_keep_the_others_back(store: TrackingStore, study: StudyFolder) -> None:
    (study.trial(1).path / "result.json").write_text("{", encoding="utf-8")

    report = project_study(study, store)

    assert report.n_new == 3
    assert len(report.problems) == 1
    assert report.problems[0].startswith("trial 1 waits")


def test_the_writer_projects_in_the_background(store: TrackingStore, study: StudyFolder) -> None:
    writer = TrackingWriter(study, store)
    begun = time.monotonic()
    for folder in study.trials():
        writer.submit(folder)
        writer.submit(folder)  # twice: told again after a resume
    assert time.monotonic() - begun < 0.1

    assert writer.close(timeout=60)

    assert runs_by_trial(store, "quickstart") == {f"quickstart/{number}": 1 for number in range(4)}
    assert (project_study(study, store).n_new, project_study(study, store).n_already) == (0, 4)


def test_a_server_that_is_down_costs_one_warning(study: StudyFolder, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        down = TrackingStore(f"http://me:hunter2@127.0.0.1:{held.getsockname()[1]}")  # bound, not listening: refused
        writer = TrackingWriter(study, down)
        with caplog.at_level(logging.WARNING, logger="hybridbatch"):
            writer.submit(study.trial(0))
            writer.submit(study.trial(1))
            assert writer.close(timeout=60)
        report = project_study(study, down)

    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("hybridbatch")]
    assert len(warnings) == 1
    assert (report.n_new, report.n_already, len(report.problems)) == (0, 0, 1)
    assert "4 finished trials wait" in report.problems[0]
    assert "hunter2" not in warnings[0] + report.problems[0]


def test_a_locked_store_is_caught_up_with(
    store: TrackingStore, study: StudyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    project_trial(study, study.trial(0), store)
    lock = sqlite3.connect(store.url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        writer = TrackingWriter(study, store)
        writer.submit(study.trial(1))
        assert not writer.close(timeout=0.5)  # still waiting for the lock: given up
    finally:
        lock.execute("ROLLBACK")
        lock.close()

    report = project_study(study, store)

    assert report.problems == ()
    assert runs_by_trial(store, "quickstart") == {f"quickstart/{number}": 1 for number in range(4)}


def test_the_record_is_a_function_of_the_folder(tmp_path: Path) -> None:
    study = write_study(tmp_path / "quickstart", sample_results())
    for folder in study.trials():
        record = record_of(folder, "quickstart")
        assert record == record_of(folder, "quickstart")
        assert len({(point.key, point.step) for point in record.metrics}) == len(record.metrics)
        assert all(record.started <= point.timestamp <= record.finished for point in record.metrics)
        assert not any("host" in tag for tag in record.tags)


def test_settings_become_dotted_paths() -> None:
    experiment = {
        "name": "n",
        "data": {"train": [{"dataset": "a", "languages": ["en", "de"]}, {"dataset": "b", "languages": None}]},
        "training": {"steps": 10, "clip_norm": None},
        "stores": {"tracking": "postgresql://u:secret@h/db"},
    }
    assert experiment_params(experiment) == {
        "data.train.0.dataset": "a",
        "data.train.0.languages": '["en", "de"]',
        "data.train.1.dataset": "b",
        "training.steps": "10",
    }


def test_one_line_of_an_error_shows_no_password() -> None:
    error = ValueError("cannot reach\npostgresql://me:pw@host/db")
    assert one_line(error) == "ValueError: cannot reach postgresql://me:***@host/db"
