"""The driver is killed or stopped in the middle of a study, and the study is resumed: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import optuna
import pytest
from tests.driver_processes import PATIENCE, command, kill_whole, no_driver_left, start, wait_until  # noqa: F401
from tests.small_study import write_file

from hybridbatch.spec.folders import HomeFolder
from hybridbatch.tracking.store import TrackingStore, runs_by_trial
from hybridbatch.training.progress import read_progress

CHANGES = {
    "training.steps": 200,
    "training.evaluate_every": 50,
    "search.trials": 3,
    "search.baselines": {
        "mono": {"batches.mix.monolingual": 1.0, "batches.mix.crosslingual": 0.0},
        "cross": {"batches.mix.monolingual": 0.0, "batches.mix.crosslingual": 1.0},
    },
    "search.pruner": {"kind": "asha", "minimum_steps": 50, "reduction": 2},
}
PLANNED = 5
pytestmark = pytest.mark.usefixtures("no_driver_left")


def in_the_middle(home: HomeFolder) -> bool:
    """Whether a trial is finished and another one has a checkpoint but no result."""
    trials = list(home.study("small").trials())
    finished = [one for one in trials if one.read_result() is not None]
    running = [one for one in trials if one not in finished and list(one.checkpoints.glob("step-*"))]
    return bool(finished and running)


def results(home: HomeFolder) -> dict[int, tuple[bytes, int]]:
    files = {one.number: one.path / "result.json" for one in home.study("small").trials()}
    return {number: (file.read_bytes(), file.stat().st_mtime_ns) for number, file in files.items() if file.exists()}


def check_nothing_lost_nothing_twice(home: HomeFolder) -> None:
    study = optuna.load_study(study_name="small", storage=home.ledger_url)
    assert [trial.number for trial in study.trials] == list(range(PLANNED))
    assert all(trial.state.is_finished() for trial in study.trials)
    told = {trial.number: trial.state.name for trial in study.trials}
    in_folders = {result.number: result for result in home.study("small").results()}
    names = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    assert told == {number: names[result.state] for number, result in in_folders.items()}
    assert {result.state for result in in_folders.values()} <= {"complete", "pruned"}
    store = TrackingStore(home.tracking_url, home.artifacts)
    assert runs_by_trial(store, "small") == {f"small/{number}": 1 for number in range(PLANNED)}
    for result in in_folders.values():  # every step was trained once as far as the result goes
        assert [rung.step for rung in result.rungs] == list(range(50, result.steps + 1, 50))
        assert sum(result.mixture.batches.values()) == result.steps


@pytest.mark.parametrize(
    "local", [pytest.param(True, id="local"), pytest.param(False, id="ray", marks=pytest.mark.ray)]
)
def test_a_killed_driver_loses_nothing(local: bool, home: HomeFolder, small_data: Path, tmp_path: Path) -> None:
    file = write_file(tmp_path, CHANGES)
    options = ["--home", str(home.path), *(["--local"] if local else [])]
    driver = start(command("run", str(file), *options), small_data)
    wait_until(lambda: in_the_middle(home), driver)
    kill_whole(driver)
    before = results(home)
    assert 0 < len(before) < PLANNED

    resumed = start(command("resume", "small", *options), small_data)
    said, _ = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0, said
    after = results(home)
    assert {number: after[number] for number in before} == before, "a finished trial was touched"
    check_nothing_lost_nothing_twice(home)
    status = subprocess.run(
        command("status", "small", "--home", str(home.path), "--json"), capture_output=True, text=True, check=True
    )
    counts = json.loads(status.stdout)["trials"]
    assert counts["complete"] + counts["pruned"] == PLANNED
    assert counts["running"] == counts["waiting"] == counts["failed"] == 0


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(signal.SIGINT, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, id="kill"),
        pytest.param(signal.SIGHUP, id="closed terminal"),
    ],
)
def test_who_is_asked_to_stop_does_it_cleanly_and_says_how_to_go_on(
    asked: signal.Signals, home: HomeFolder, small_data: Path, tmp_path: Path
) -> None:
    file = write_file(tmp_path, CHANGES)
    options = ["--home", str(home.path), "--local"]
    driver = start(command("run", str(file), *options), small_data)
    wait_until(lambda: in_the_middle(home), driver)
    os.kill(driver.pid, asked)
    said, _ = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 130, said
    assert f"hybridbatch resume small --local --home {home.path}" in " ".join(said.split())
    assert "Traceback" not in said
    states = [trial.state.name for trial in optuna.load_study(study_name="small", storage=home.ledger_url).trials]
    assert "RUNNING" not in states
    assert "WAITING" in states

    resumed = start(command("resume", "small", *options), small_data)
    said, _ = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0, said
    check_nothing_lost_nothing_twice(home)


def test_a_driver_killed_inside_a_stage_goes_on_inside_it(home: HomeFolder, small_data: Path, tmp_path: Path) -> None:
    text = [{"dataset": "parallel-pairs", "path": "small.csv"}]
    stage = {"text": text, "steps": 400, "batch_size": 8, "learning_rate": 0.001}
    file = write_file(tmp_path, {"arms.domain-adaptation": stage, "search.trials": 1, "search.baselines": {}})
    options = ["--home", str(home.path), "--local"]
    stages = home.cache / "stages"
    driver = start(command("run", str(file), *options), small_data)
    wait_until(lambda: bool(list(stages.glob("*.making/checkpoints/step-*"))), driver)
    (trial,) = home.study("small").trials()
    progress = read_progress(trial.progress)
    assert progress is not None
    assert (progress.phase, progress.steps) == ("adapting", 400)
    kill_whole(driver)
    checkpoint = max(int(one.name.removeprefix("step-")) for one in stages.glob("*.making/checkpoints/step-*"))
    (told,) = stages.glob("*.making/progress.json")
    told.unlink()  # it may lag behind the checkpoint

    resumed = start(command("resume", "small", *options), small_data)
    first: list[int] = []

    def goes_on() -> bool:
        now = [one for file in stages.glob("*.making/progress.json") if (one := read_progress(file)) is not None]
        first.extend(one.step for one in now if one.step > 0)
        return bool(home.study("small").results()) or resumed.poll() is not None

    while not goes_on():
        time.sleep(0.02)
    said, _ = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0, said
    assert min(first) >= checkpoint > 0, "from the checkpoint, not from nothing"
    (result,) = home.study("small").results()
    assert (result.state, [one.arm for one in result.stages]) == ("complete", ["domain-adaptation"])
