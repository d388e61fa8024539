"""Where the URL of a store goes: its password stays in one file, which its owner alone can read."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path

import pytest
from tests.small_study import experiment
from tests.tiny_trial import spec_of
from tests.trial_folders import sample_results, write_study

from hybridbatch.cluster.metric_names import METRICS
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError
from hybridbatch.report.collect import collect
from hybridbatch.report.export import comparison_json
from hybridbatch.report.page import write_page
from hybridbatch.search.extension import extend_study
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.session import load_study
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder, StudyFolder
from hybridbatch.tracking.projection import project_study
from hybridbatch.tracking.store import TrackingStore

SECRET = "s3cr3t-0f-th3-st0r3s"
STORES = {
    "ledger": f"postgresql+psycopg://me:{SECRET}@host/ledger",
    "tracking": f"http://me:{SECRET}@host:5000",
    "archive": f"s3://key:{SECRET}@bucket/archive",
}
OPEN = 0o044  # bits for everybody else


@pytest.fixture
def made() -> Experiment:
    return experiment({"stores": STORES})


def who_hold_it(folder: Path) -> list[str]:
    """Return the files below a folder that hold the password."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in files if SECRET.encode() in path.read_bytes())


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A study with results whose files say where its stores are, as no file but ``experiment.json`` does any more."""
    written = write_study(tmp_path / "studies" / "quickstart", sample_results())
    for file in (written.experiment, *(trial.path / "spec.json" for trial in written.trials() if trial.has_spec())):
        content = atomic.read_json(file)
        where = content.get("experiment", content)
        where["stores"] = STORES
        atomic.write_json(file, content)
    assert len(who_hold_it(written.path)) > 1
    return written


def test_the_experiment_of_a_study_keeps_them_for_its_owner_alone(made: Experiment, tmp_path: Path) -> None:
    home = HomeFolder(tmp_path)
    before = os.umask(0o022)
    try:
        home.study("small").write_experiment(made)
        assert home.study("small").experiment.stat().st_mode & OPEN == 0
        assert dict(load_study(home, "small").stores) == STORES, "resume finds the stores again"
        home.study("small").write_experiment(experiment())
        assert home.study("small").experiment.stat().st_mode & OPEN == OPEN, "without a password there is no secret"
    finally:
        os.umask(before)


def test_who_may_not_read_it_is_told_why(made: Experiment) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own can be entered by nobody else
        Path(folder).chmod(0o755)
        _refused_to_others(made, HomeFolder(Path(folder)))


def _refused_to_others(made: Experiment, home: HomeFolder) -> None:
    home.study("small").write_experiment(made)
    home.study("small").experiment.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:  # who may read everything
            os.seteuid(65534)
        with pytest.raises(UserError, match="you may not read this record") as refused:
            load_study(home, "small")
    finally:
        os.seteuid(user)
    assert "password" in str(refused.value.remedy)


def test_a_private_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with atomic.file_written_whole(tmp_path / "file", private=True) as file:
            file.write(SECRET.encode())
            file.flush()
            (draft,) = tmp_path.iterdir()
            assert stat.S_IMODE(draft.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_the_folder_of_a_trial_says_nothing_of_them(made: Experiment, tmp_path: Path) -> None:
    trial = HomeFolder(tmp_path).study("small").trial(0)
    trial.write_spec(spec_of(made))
    assert who_hold_it(tmp_path) == []
    assert trial.read_spec().experiment == experiment(), "all else is there"


def test_mlflow_gets_none(home: HomeFolder, study: StudyFolder) -> None:
    report = project_study(study, TrackingStore(home.tracking_url, home.artifacts))
    assert report.problems == ()
    assert report.n_new > 0
    kept = {path.name for path in home.artifacts.rglob("*.json")}
    assert {"experiment.json", "spec.json", "result.json"} <= kept
    assert who_hold_it(home.path) == []
    (uploaded,) = home.artifacts.rglob("experiment.json")
    assert json.loads(uploaded.read_text(encoding="utf-8"))["stores"]["archive"] == "s3://key:***@bucket/archive"


def test_no_report_and_no_comparison_shows_them(study: StudyFolder, tmp_path: Path) -> None:
    table = collect(study)
    write_page(table, tmp_path / "page.html")
    assert "me:***@host" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert SECRET not in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert SECRET not in json.dumps(comparison_json(table), default=str)


def test_a_ledger_is_told_nothing_of_stores_when_its_study_is_extended(home: HomeFolder) -> None:
    stores = {name: url for name, url in STORES.items() if name != "ledger"}
    Ledger(experiment({"stores": stores}), home.ledger_url).close()
    home.study("small").write_experiment(experiment({"stores": stores}))
    for trials in (5, 6):
        extend_study(home, "small", trials, None)
    assert who_hold_it(home.path) == ["studies/small/experiment.json"]
    extended = load_study(home, "small")
    assert (extended.search.trials, extended.stores.archive) == (6, STORES["archive"])


def test_what_prometheus_is_told_has_no_label_for_a_place() -> None:
    labels = {label for metric in METRICS.values() for label in metric.tags}
    assert labels == {"study", "state", "trial", "measure", "cause", "call"}
