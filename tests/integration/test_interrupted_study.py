"""A study whose driver is killed three times is the same, bit for bit, as one that nothing happened to."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.driver_processes import command, kill_whole, no_driver_left, start, wait_until  # noqa: F401 - a fixture
from tests.small_study import write_file

from hybridbatch.search.attempts import ATTEMPTS
from hybridbatch.search.ledger import LEASE
from hybridbatch.spec.attempts import interruptions
from hybridbatch.spec.folders import HomeFolder

TRIALS = 9
CHANGES = {
    "training.steps": 90,
    "training.evaluate_every": 15,
    "search.trials": TRIALS,
    "search.baselines": {},
    "search.space": {
        "loss.temperature": {"log_uniform": [0.02, 0.2]},
        "training.learning_rate": {"log_uniform": [1e-4, 1e-1]},
    },
    "search.sampler": {"kind": "tpe", "startup_trials": 3},
    "search.pruner": {"kind": "asha", "minimum_steps": 15, "reduction": 2},
}
KILLED_AFTER = (1, 3, 5)  # finished trials, and a random while more
TIMES = ("seconds", "started", "finished", "first_step", "provenance")  # what two runs may differ in


def in_ledger(home: HomeFolder) -> list[dict[str, Any]]:
    """Return all that stands in the ledger of its trials, but for who worked on them and when."""
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "params": trial.params,
            "distributions": trial.distributions,
            "values": trial.values,
            "rungs": trial.intermediate_values,
            "attributes": {key: value for key, value in trial.user_attrs.items() if key not in (LEASE, ATTEMPTS)},
        }
        for trial in optuna.load_study(study_name="small", storage=home.ledger_url).trials
    ]


def in_folders(home: HomeFolder) -> list[dict[str, Any]]:
    """Return all that stands in the results of the trials, but for times and what they ran on."""
    found = []
    for folder in home.study("small").trials():
        result = json.loads((folder.path / "result.json").read_text(encoding="utf-8"))
        for name in TIMES:
            result.pop(name, None)
        for rung in result["rungs"]:
            del rung["seconds"], rung["measured"]
        for measured in result["report"].values():
            measured.pop("seconds", None)
        found.append(result)
    return found


def finished_trials(home: HomeFolder) -> int:
    return len(list((home.study("small").path).rglob("result.json")))


@pytest.mark.timeout(900)  # five drivers start one after the other: minutes where others use the machine
@pytest.mark.usefixtures("no_driver_left")
def test_three_kills_change_no_bit_of_a_study(home: HomeFolder, small_data: Path, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    file = write_file(tmp_path, CHANGES)
    steady = HomeFolder(tmp_path / "steady")
    shutil.copytree(home.path, steady.path)

    undisturbed = start(command("run", str(file), "--local", "--home", str(steady.path)), small_data)
    said, _ = undisturbed.communicate(timeout=200)
    assert undisturbed.returncode == 0, said

    driver = start(command("run", str(file), "--local", "--home", str(home.path)), small_data)
    for done in KILLED_AFTER:
        wait_until(lambda done=done: finished_trials(home) >= done, driver)  # type: ignore[misc]
        time.sleep(chance.uniform(0.0, 0.5))
        assert driver.poll() is None, driver.communicate()[0]
        kill_whole(driver)
        driver = start(command("resume", "small", "--local", "--home", str(home.path)), small_data)
    said, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, said

    expected = in_ledger(steady)
    states = [trial["state"] for trial in expected]
    assert {"COMPLETE", "PRUNED"} == set(states), "the study decides nothing, and so compares little"
    assert len(states) == TRIALS
    assert in_ledger(home) == expected
    assert in_folders(home) == in_folders(steady)
    attempts = [one for trial in home.study("small").trials() for one in trial.read_attempts()]
    # A kill may fall between two trials, when nobody is interrupted.
    assert set(interruptions(attempts)) <= {"driver_lost"}
