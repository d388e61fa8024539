"""`hybridbatch doctor STUDY` over real stores: it finds what interrupted work leaves behind, and mends it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import CommandLine
from tests.ledger_fixtures import NO_BASELINES
from tests.small_study import experiment, result
from tests.study_fixtures import VARIED, Watcher, content

from hybridbatch.foundation import atomic
from hybridbatch.search.examination import Finding, examine_study
from hybridbatch.search.ledger import LEASE, Ledger
from hybridbatch.search.local import run_local
from hybridbatch.search.ownership import Owner, lease
from hybridbatch.search.session import StudySession, load_study
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.tracking.records import STUDY_TAG, TRIAL_TAG
from hybridbatch.tracking.store import StudyRuns, TrackingStore, runs_by_trial


@pytest.fixture
def study_home(finished: HomeFolder, tmp_path: Path) -> HomeFolder:
    """A finished study of one's own: trials 0 to 5."""
    shutil.copytree(finished.path, tmp_path / "home")
    return HomeFolder(tmp_path / "home")


def examined(home: HomeFolder, *, repair: bool = False) -> list[Finding]:
    return list(examine_study(load_study(home, "small"), home, repair=repair))


def kinds(findings: list[Finding]) -> list[tuple[str, int | None]]:
    return [(finding.kind, finding.trial) for finding in findings]


def open_again(ledger: Ledger, number: int, entry: dict[str, Any] | None) -> None:
    """Let the ledger say that a finished trial is running, under a lease."""
    import sqlalchemy

    trial_id = ledger.study.trials[number]._trial_id
    with ledger._database.engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"UPDATE trials SET state = 'RUNNING' WHERE trial_id = {trial_id}"))
    ledger._database.set_trial_user_attr(trial_id, LEASE, entry)


def test_a_study_in_order_has_no_findings_and_is_not_touched(study_home: HomeFolder, command_line: CommandLine) -> None:
    before = content(study_home.study("small").path / "trials")
    said = command_line("doctor", "small", "--repair", "--home", str(study_home.path))
    assert (said.code, said.out) == (0, "small: ledger, folders and MLflow runs agree; nothing is left over\n")
    assert content(study_home.study("small").path / "trials") == before
    assert json.loads(command_line("doctor", "small", "--home", str(study_home.path), "--json").out) == []


def test_what_killed_drivers_leave_is_found_and_mended(study_home: HomeFolder, command_line: CommandLine) -> None:
    study = load_study(study_home, "small")
    ledger, folder = Ledger(study, study_home.ledger_url), study_home.study("small")
    gone = {**lease(Owner("another-machine", process=77, born=0.0)), "until": 0.0}
    open_again(ledger, 2, gone)  # its result is in its folder: not told
    open_again(ledger, 3, gone)
    (folder.trial(3).path / "result.json").unlink()  # nobody runs it any more
    ledger.close()
    (folder.trial(0).path / ".result.json.0123abcd").write_text("half")
    (folder.trial(0).checkpoints / "step-00000002").mkdir(parents=True)
    runs = StudyRuns(TrackingStore(study_home.tracking_url, study_home.artifacts), "small")
    tags = {STUDY_TAG: "small", TRIAL_TAG: "small/1"}
    second = runs.client.create_run(runs.experiment_id, tags=tags).info.run_id
    orphan = runs.client.create_run(runs.experiment_id, tags={**tags, TRIAL_TAG: "small/99"}).info.run_id
    unwritten = runs.of_trial("small/4")
    assert unwritten is not None
    runs.client.delete_run(unwritten.info.run_id)

    expected = {
        ("leftovers", 0),
        ("result-not-told", 2),
        ("lapsed-lease", 3),
        ("run-duplicated", 1),
        ("run-orphaned", 99),
        ("run-orphaned", 3),
        ("run-missing", 4),
    }
    found = examined(study_home)
    assert set(kinds(found)) == expected
    assert not any(finding.mended for finding in found)
    assert set(kinds(examined(study_home))) == expected, "looking changes nothing"

    mended = command_line("doctor", "small", "--repair", "--home", str(study_home.path), "--json")
    assert {(one["kind"], one["trial"]) for one in json.loads(mended.out)} == expected
    assert all(one["mended"] for one in json.loads(mended.out))
    assert mended.code == 0
    assert examined(study_home) == []
    deleted = {run.info.run_id for run in runs.client.search_runs([runs.experiment_id], run_view_type=2)}
    assert {second, orphan} <= deleted
    counts = Ledger(study, study_home.ledger_url).counts()
    assert (counts.running, counts.waiting) == (0, 1), "the one without a result waits for whoever resumes"


def test_a_mended_study_is_resumed_to_the_figures_it_had(
    study_home: HomeFolder, finished: HomeFolder, small_data: Path
) -> None:
    study = load_study(study_home, "small")
    ledger, folder = Ledger(study, study_home.ledger_url), study_home.study("small")
    open_again(ledger, 0, None)
    ledger.close()
    shutil.rmtree(folder.trial(0).path)
    assert set(kinds(examined(study_home, repair=True))) == {("lapsed-lease", 0), ("run-orphaned", 0)}
    session = StudySession(experiment(VARIED), study_home, small_data, None, watcher := Watcher())
    run_local(session)
    assert session.close().problems == ()
    assert watcher.numbers("finished") == [0]
    again, before = (home.study("small").trial(0).read_result() for home in (study_home, finished))
    assert again is not None
    assert before is not None
    assert (again.values, again.rungs[-1].summary) == (before.values, before.rungs[-1].summary)
    store = TrackingStore(study_home.tracking_url, study_home.artifacts)
    assert runs_by_trial(store, "small") == {f"small/{number}": 1 for number in range(6)}
    assert examined(study_home) == []


def test_what_only_a_person_can_mend_is_told_and_left_alone(study_home: HomeFolder, command_line: CommandLine) -> None:
    folder = study_home.study("small")
    (folder.trial(0).path / "result.json").unlink()
    record = atomic.read_json(folder.trial(2).path / "result.json")
    atomic.write_json(folder.trial(2).path / "result.json", {**record, "state": "failed", "values": None})
    (folder.trial(3).path / "spec.json").write_text('{"study": "sm')
    (folder.trial(9).path / "scores").mkdir(parents=True)
    found = [one for one in examined(study_home, repair=True) if not one.kind.startswith("run")]
    assert kinds(found) == [("result-missing", 0), ("result-differs", 2), ("record-damaged", 3), ("trial-unknown", 9)]
    assert not any(finding.mended for finding in found)
    said = command_line("doctor", "small", "--repair", "--home", str(study_home.path))
    assert said.code == 1
    assert "result-differs" in said.out
    assert "stores.archive" in said.out
    assert "Traceback" not in said.out


def test_what_is_in_living_hands_is_left_alone(home: HomeFolder, small_data: Path) -> None:
    study = experiment({**NO_BASELINES, "search.trials": 2})
    session = StudySession(study, home, small_data, None, Watcher())
    given = session.next_trial()
    assert given is not None
    draft = session.folder.trial(given.number).path / ".spec.json.0123abcd"
    draft.write_text("being written")
    assert examined(home, repair=True) == []
    assert draft.exists()
    session.folder.trial(given.number).write_result(result(given.number, values=(0.5,)))
    assert examined(home, repair=True) == []
    assert session.ledger.running() == {given.number}, "its own driver tells it"
    session.close()


def test_missing_copies_are_made(home: HomeFolder, small_data: Path, tmp_path: Path) -> None:
    study = experiment({**NO_BASELINES, "search.trials": 1, "stores": {"archive": f"file://{tmp_path}/archive"}})
    session = StudySession(study, home, small_data, None, Watcher())
    run_local(session)
    assert session.close().problems == ()
    assert examined(home) == []
    shutil.rmtree(tmp_path / "archive" / "small" / "00000")
    assert kinds(examined(home)) == [("copy-missing", 0)]
    assert [finding.mended for finding in examined(home, repair=True)] == [True]
    assert examined(home) == []


def test_only_a_study_can_be_repaired(command_line: CommandLine) -> None:
    said = command_line("doctor", "--repair")
    assert said.code == 2
    assert "hybridbatch doctor STUDY --repair" in said.err
