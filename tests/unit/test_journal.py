"""A ledger in a plain file: what a killed writer, a full disk and a disk that nobody may write leave of it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from tests.ledger_fixtures import NO_BASELINES, take
from tests.small_disk import leave
from tests.small_study import experiment, result, rung

from hybridbatch.foundation.errors import StoreError
from hybridbatch.search.assignment import Counts
from hybridbatch.search.journal import JournalLedger
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.storage import OutOfReachError, open_storage

STUDY = experiment({**NO_BASELINES, "search.trials": 3})
# Tells trials, one after the other, and is killed in the middle of a write: the second half of an entry never comes.
KILLED = """
import os, sys
from hybridbatch.search import journal
from hybridbatch.search.ledger import Ledger
from tests.small_study import experiment, result
ledger = Ledger(experiment({"search.baselines": {}, "search.trials": 3}), sys.argv[1])
ledger.tell(result(ledger.next_assignment().number, values=(0.5,)))
ledger.next_assignment()
real = os.fsync
def killed(descriptor):
    os.truncate(ledger.storage.file, os.fstat(descriptor).st_size - 9)
    os.kill(os.getpid(), 9)
os.fsync = killed
ledger.tell(result(1, values=(0.7,)))
"""

TELLS_TWO = """
import sys
from hybridbatch.search.ledger import Ledger
from tests.small_study import experiment, result
ledger = Ledger(experiment({"search.baselines": {}, "search.trials": 3}), sys.argv[1])
for value in (0.5, 0.7):
    ledger.tell(result(ledger.next_assignment().number, values=(value,)))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.log"


@pytest.fixture
def journal(file: Path) -> str:
    return f"journal://{file}"


def trials(url: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="small", storage=open_storage(url)).get_trials()


def test_plain_optuna_reads_the_file(file: Path, journal: str) -> None:
    ledger = Ledger(STUDY, journal)
    ledger.tell(result(take(ledger).number, values=(0.5,)))
    plain = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
    (trial,) = optuna.load_study(study_name="small", storage=plain).get_trials()
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [0.5])
    assert all(json.loads(line)["op_code"] >= 0 for line in file.read_text().splitlines())


def test_what_a_killed_driver_left_half_written_is_dropped_with_a_warning(
    file: Path, journal: str, caplog: pytest.LogCaptureFixture
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, journal], check=False)
    assert killed.returncode == -9
    assert not file.read_bytes().endswith(b"\n")
    with caplog.at_level(logging.WARNING):
        ledger = Ledger(STUDY, journal)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(str(file))
    assert "which a killed writer left unfinished" in said
    assert ledger.counts() == Counts(complete=1, pruned=0, failed=0, running=0, waiting=2)
    assert take(ledger).number == 1, "the driver that held it is dead"
    ledger.tell(result(1, values=(0.7,)))
    assert [trial.values for trial in trials(journal)] == [[0.5], [0.7]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The journal of a study with two of its three trials told, by a driver that is gone."""
    file = tmp_path_factory.mktemp("whole") / "ledger.log"
    subprocess.run([sys.executable, "-c", TELLS_TWO, f"journal://{file}"], check=True)
    return file.read_bytes()


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1), garbage=st.sampled_from([b"", bytes(7), b"\x00\n"]))
def test_cut_anywhere_the_file_gives_what_stood_in_its_whole_lines(
    share: float, garbage: bytes, whole: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file, cut = tmp_path_factory.mktemp("cut") / "ledger.log", round(share * len(whole))
    file.write_bytes(whole[:cut] + garbage * (cut > 20))
    JournalLedger(f"journal://{file}")
    kept = whole[: whole.rfind(b"\n", 0, cut) + 1]
    assert file.read_bytes() == kept
    again = Ledger(STUDY, f"journal://{file}")
    while (given_out := again.next_assignment()) is not None:
        again.tell(result(given_out.number, values=(0.9,)))
    assert [trial.number for trial in trials(f"journal://{file}")] == [0, 1, 2]
    assert all(trial.state == TrialState.COMPLETE for trial in trials(f"journal://{file}"))


def test_damage_in_the_middle_is_named_by_its_line_and_nothing_is_cut(file: Path, journal: str) -> None:
    ledger = Ledger(STUDY, journal)
    take(ledger)
    lines = file.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:3], lines[3][:20] + b"\n", *lines[4:]])
    file.write_bytes(damaged)
    with pytest.raises(StoreError, match="journal is damaged") as refused:
        Ledger(STUDY, journal)
    assert (refused.value.file, refused.value.path) == (file, "line 4")
    assert file.read_bytes() == damaged


@pytest.mark.parametrize("content", [b"dear diary", b"SQLite format 3\x00", b"\n\n", b"[1, 2]\n"])
def test_a_file_that_is_no_journal_is_left_alone(file: Path, journal: str, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(StoreError, match="no journal"):
        Ledger(STUDY, journal)
    assert file.read_bytes() == content


@pytest.mark.parametrize("url", ["journal://ledger.log", "journal:ledger.log", "journal:/ledger.log"])
def test_a_path_that_is_not_absolute_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as refused:
        Ledger(STUDY, url)
    assert "journal:///" in (refused.value.allowed or "")


def test_a_full_disk_is_named_and_nothing_half_written_stays(small_disk: Path) -> None:
    url = f"journal://{small_disk / 'ledger.log'}"
    ledger = Ledger(STUDY, url)
    take(ledger)
    leave(small_disk, 0)
    reports = (ledger.report(0, rung(step, 0.5)) for step in range(1, 2000))  # the last block has some room left
    with pytest.raises(StoreError, match="the disk is full") as refused:
        list(reports)
    assert not isinstance(refused.value, OutOfReachError)
    assert refused.value.remedy
    (small_disk / "ballast").unlink()
    ledger.tell(result(0, values=(0.5,)))
    for line in (small_disk / "ledger.log").read_bytes().splitlines():
        json.loads(line)
    (trial,) = trials(url)
    assert trial.values == [0.5]


def test_a_file_that_nobody_may_write_is_named(small_disk: Path) -> None:
    url = f"journal://{small_disk / 'ledger.log'}"
    ledger = Ledger(STUDY, url)
    take(ledger)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        with pytest.raises(StoreError, match="Read-only file system") as refused:
            ledger.tell(result(0, values=(0.5,)))
        assert str(small_disk) in refused.value.render()
        with pytest.raises(StoreError, match="Read-only file system"):
            Ledger(STUDY, url)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    ledger.tell(result(0, values=(0.5,)))
    assert trials(url)[0].state == TrialState.COMPLETE
