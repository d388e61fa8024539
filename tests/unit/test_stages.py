"""Stages before fine-tuning: made once, shared, taken over from a killed maker, made again when damaged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.small_study import experiment
from tests.tiny_trial import InterruptedTrialError, Rungs, make_trainer, make_workshop, run
from torch import nn

from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import OneWorkerError, TrialError, UserError
from hybridbatch.training import stage_loop
from hybridbatch.training.arm import StageWork
from hybridbatch.training.losses import Shard
from hybridbatch.training.progress import Progress
from hybridbatch.training.stage_loop import StageLoop, settings_of_stage
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.workshop import Workshop

TEXT = {"dataset": "parallel-pairs", "path": "small.csv"}
ARM = {"text": [TEXT], "steps": 6, "batch_size": 8, "learning_rate": 0.01}
CHANGES: dict[str, Any] = {"arms.domain-adaptation": ARM, "backbone.dropout": 0.2}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return make_workshop(tmp_path)


@pytest.fixture
def every_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints whatever share of the time they take."""
    monkeypatch.setattr(stage_loop, "_SHARE_OF_CHECKPOINTS", math.inf)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.encoder.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def outcomes(workshop: Workshop) -> list[Path]:
    return sorted(one for one in (workshop.location.cache / "stages").iterdir() if one.is_dir())


def test_a_stage_is_made_once_and_all_trials_begin_with_its_weights(workshop: Workshop, tmp_path: Path):
    first = make_trainer(workshop, CHANGES)
    fresh = make_trainer(Workshop(workshop.location), {**CHANGES, "loss.temperature": 0.2})
    assert same(weights(first), weights(fresh))
    assert not same(weights(first), weights(make_trainer(workshop, {"backbone.dropout": 0.2})))
    (made,), (taken,) = first.stages, fresh.stages
    assert (made.from_cache, taken.from_cache) == (False, True)
    assert (made.arm, made.steps, made.outcome) == ("domain-adaptation", 6, taken.outcome)
    (folder,) = outcomes(workshop)
    assert sorted(one.name for one in folder.iterdir()) == ["encoder.safetensors", "outcome.json"]
    note = atomic.read_json(folder / "outcome.json")
    assert [step for step, _ in note["losses"]] == [1, 2, 3, 4, 5, 6]
    assert note["losses"][-1][1] == made.loss
    assert made.seconds > 0


def test_what_the_outcome_depends_on_makes_another_one(workshop: Workshop):
    short = {**ARM, "steps": 1}
    changes: list[dict[str, Any]] = [
        {},
        {"training.seed": 1},
        {"arms.domain-adaptation": {**short, "steps": 2}},
        {"arms.domain-adaptation": {**short, "text": [{**TEXT, "languages": ["en"]}]}},
        {"training.precision": "bf16"},
        {"backbone.dropout": 0.0},
    ]
    records = [make_trainer(workshop, {**CHANGES, "arms.domain-adaptation": short, **one}).stages[0] for one in changes]
    assert len({one.outcome for one in records}) == len(changes)
    assert not any(one.from_cache for one in records)


def test_the_result_tells_of_the_stage_also_after_an_interruption(workshop: Workshop, tmp_path: Path):
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path / "trials", CHANGES, Rungs(interrupt_at=2))
    result = run(Workshop(workshop.location), tmp_path / "trials", CHANGES)
    (record,) = result.stages
    assert not record.from_cache, "this trial made it, if in an earlier attempt"
    (again,) = run(workshop, tmp_path / "others", CHANGES).stages
    assert again.from_cache
    kept = [load_file(tmp_path / name / "00000" / "model" / "model.safetensors") for name in ("trials", "others")]
    assert same(*kept)


class KilledError(Exception):
    """What ends a process in the middle of a stage."""


@pytest.mark.usefixtures("every_checkpoint")
def test_a_killed_maker_is_taken_over_from_its_checkpoint_and_ends_the_same(workshop: Workshop, tmp_path: Path):
    whole = make_trainer(make_workshop(tmp_path / "whole"), CHANGES)

    def killed(now: Progress) -> None:
        if now.step == 4:
            raise KilledError

    with pytest.raises(KilledError):
        Trainer(experiment(CHANGES), workshop, Shard(), "cpu", killed)
    (making,) = outcomes(workshop)
    assert making.suffix == ".making"
    seen: list[int] = []
    taken_over = Trainer(experiment(CHANGES), workshop, Shard(), "cpu", lambda now: seen.append(now.step))
    assert seen == [0, 4, 5, 6], "from the checkpoint of step 3, not from nothing"
    assert same(weights(taken_over), weights(whole))
    assert [one.suffix for one in outcomes(workshop)] == [""], "checkpoints are gone"


def test_a_damaged_outcome_is_made_again(workshop: Workshop):
    before = weights(make_trainer(workshop, CHANGES))
    (folder,) = outcomes(workshop)
    file = folder / "encoder.safetensors"
    file.write_bytes(file.read_bytes()[:-3] + b"abc")
    again = make_trainer(workshop, CHANGES)
    assert not again.stages[0].from_cache
    assert same(weights(again), before)
    (folder / "outcome.json").write_text("{")
    assert not make_trainer(workshop, CHANGES).stages[0].from_cache
    assert make_trainer(workshop, CHANGES).stages[0].from_cache


@pytest.mark.usefixtures("every_checkpoint")
def test_a_damaged_checkpoint_of_a_stage_gives_way_to_the_one_before(workshop: Workshop):
    def killed(now: Progress) -> None:
        if now.step == 4:
            raise KilledError

    with pytest.raises(KilledError):
        Trainer(experiment(CHANGES), workshop, Shard(), "cpu", killed)
    newest = max((outcomes(workshop)[0] / "checkpoints").glob("step-*"))
    (newest / "model.safetensors").write_bytes(b"half")
    seen: list[int] = []
    Trainer(experiment(CHANGES), workshop, Shard(), "cpu", lambda now: seen.append(now.step))
    assert seen == [0, 3, 4, 5, 6]


def test_a_loss_that_is_not_finite_fails_the_trial_and_names_the_arm(tmp_path: Path):
    module = nn.Linear(2, 2)
    settings = settings_of_stage(experiment().training, steps=4, learning_rate=0.1, warmup=0.0)
    loop = StageLoop("some-arm", module, settings, "cpu", StageWork(tmp_path, lambda step, loss: None))

    def backward(step: int) -> torch.Tensor:
        loss = module(torch.ones(2)).sum() * (float("nan") if step == 2 else 1.0)
        loss.backward()
        return loss.detach()

    with pytest.raises(TrialError, match=r"arms\.some-arm: the loss or the gradient .* up to step 3"):
        loop.run(backward)


def test_a_stage_that_does_not_fit_into_memory_names_the_arm(tmp_path: Path):
    settings = settings_of_stage(experiment().training, steps=1, learning_rate=0.1, warmup=0.0)
    loop = StageLoop("some-arm", nn.Linear(2, 2), settings, "cpu", StageWork(tmp_path, lambda step, loss: None))

    def backward(step: int) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with pytest.raises(OneWorkerError, match=r"arms\.some-arm: texts of this arm do not fit(.|\n)*Tried to allocate"):
        loop.run(backward)


def test_a_text_that_cannot_be_read_is_named_with_the_place_in_the_file(workshop: Workshop):
    arm = {**ARM, "text": [TEXT, {**TEXT, "path": "missing.csv"}]}
    with pytest.raises(UserError, match=r"missing\.csv -> arms\.domain-adaptation\.text\.1: no such file"):
        make_trainer(workshop, {"arms.domain-adaptation": arm})
