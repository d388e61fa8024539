"""Where ``--local`` trains: on the GPU that the experiment asks for, and nowhere else instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.command_line import CommandLine
from tests.small_study import write_file

from hybridbatch.spec.folders import HomeFolder

ONE_TRIAL = {"search.trials": 1, "search.baselines": {}, "training.steps": 2}
ON_A_GPU = {**ONE_TRIAL, "resources": {"gpus_per_worker": 1}}


@pytest.mark.parametrize(("changes", "device"), [(ONE_TRIAL, "cpu"), (ON_A_GPU, "cuda:0")])
def test_trials_get_the_device_that_the_experiment_asks_for(
    command_line: CommandLine,
    home: HomeFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    device: str,
) -> None:
    given = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("hybridbatch.terminal.study_run.run_local", lambda session, device: given.append(device))
    assert command_line("run", write_file(tmp_path, changes), "--home", home.path, "--local").code == 0
    assert given == [device]


def test_a_gpu_that_is_not_there_is_told_before_a_study_is_made(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = write_file(tmp_path, ON_A_GPU)
    done = command_line("run", file, "--home", home.path, "--local")
    done.is_message(f"{file} -> resources.gpus_per_worker", "no GPU can be used here", "1", "set it to 0")
    assert not home.study("small").path.exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_trial_is_trained_on_the_gpu(command_line: CommandLine, home: HomeFolder, tmp_path: Path) -> None:
    assert command_line("run", write_file(tmp_path, ON_A_GPU), "--home", home.path, "--local").code == 0
    (result,) = home.study("small").results()
    assert (result.state, result.provenance["device"]) == ("complete", "cuda:0")
