"""One trial from spec to result: interrupted, stopped, failed, and what it learns."""

from __future__ import annotations

import gc
import math
import re
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.small_study import BITEXT, drop_language, experiment
from tests.tiny_trial import InterruptedTrialError, Rungs, make_trainer, make_workshop, run, spec_of

from hybridbatch.backbones.huggingface import from_folder_or_name
from hybridbatch.evaluation.measure import measure
from hybridbatch.foundation.errors import ConflictError, OneWorkerError, TrialError, UserError
from hybridbatch.search.checks import check_study
from hybridbatch.spec.experiment import EarlyStopping
from hybridbatch.spec.folders import TrialFolder
from hybridbatch.spec.trial import TrialResult, TrialSpec
from hybridbatch.training.broken_group import BrokenGroupError
from hybridbatch.training.early_stopping import BestSoFar
from hybridbatch.training.losses import Shard
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.trial import TrialRun, run_trial
from hybridbatch.training.workshop import Workshop

NAN = math.nan
STOPPING = {
    "training.steps": 40,
    "training.early_stopping": {"patience": 2},
    "search.objectives": [{"metric": "map_mono", "direction": "minimize"}],  # grows as the trial learns
}
LIVELY = {"backbone.dropout": 0.3, "loss.learn_temperature": True, "training.steps": 8}


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "00000" / "model" / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def figures(result: TrialResult) -> dict[str, Any]:
    """Return all of a result that must not depend on when and where it was made."""
    rungs = [(rung.step, rung.train_loss, rung.summary) for rung in result.rungs]
    report = {name: (one.summary, one.cells, one.multi, one.bias) for name, one in result.report.items()}
    kept = {"state", "reason", "values", "steps", "best_step", "seed"}
    return {**result.model_dump(include=kept), "mixture": result.mixture, "rungs": rungs, "report": report}


@pytest.mark.parametrize("rung", [2, 6])
def test_an_interrupted_trial_ends_as_if_it_had_not_been(workshop: Workshop, tmp_path: Path, rung: int):
    whole = run(workshop, tmp_path / "whole", LIVELY)
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path / "parts", LIVELY, Rungs(interrupt_at=rung))
    parts = TrialFolder(tmp_path / "parts" / "00000")
    assert parts.read_result() is None
    fresh, verdicts = Workshop(workshop.location), Rungs()
    resumed = run(fresh, tmp_path / "parts", LIVELY, verdicts)
    assert [one.step for one in verdicts.seen] == list(range(rung, 9, 2)), "the last rung is reported again"
    assert figures(resumed) == figures(whole)
    assert same_weights(tmp_path / "parts", tmp_path / "whole")
    curves = [TrialFolder(tmp_path / name / "00000").read_curve() for name in ("parts", "whole")]
    assert [point.loss for point in curves[0]] == [point.loss for point in curves[1]]
    assert [point.temperature for point in curves[0]] == [point.temperature for point in curves[1]]
    assert len(curves[0]) == 8


def test_a_trial_is_the_same_after_another_one_in_the_same_process(workshop: Workshop, tmp_path: Path):
    run(workshop, tmp_path / "before", {**LIVELY, "training.seed": 5, "loss.temperature": 0.5})
    warm = run(workshop, tmp_path / "warm", LIVELY)
    fresh = run(Workshop(workshop.location), tmp_path / "fresh", LIVELY)
    assert figures(warm) == figures(fresh)
    assert same_weights(tmp_path / "warm", tmp_path / "fresh")


def test_a_finished_trial_leaves_its_folder_tidy(workshop: Workshop, tmp_path: Path):
    result = run(workshop, tmp_path)
    folder = TrialFolder(tmp_path / "00000")
    assert sorted(one.name for one in folder.path.iterdir()) == ["curve.json", "model", "result.json", "scores"]
    assert folder.read_result() == result
    assert result.state == "complete"
    assert result.values == (result.rungs[-1].summary["map_multi"],)
    assert [rung.step for rung in result.rungs] == [2, 4, 6]
    assert sum(result.mixture.batches.values()) == 6
    assert sum(result.mixture.pairs.values()) == 6 * 8
    assert folder.scores("small_report").exists()


def test_a_resumed_trial_leaves_no_draft_of_the_attempt_that_was_killed(workshop: Workshop, tmp_path: Path):
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path, verdicts=Rungs(interrupt_at=4))
    folder = TrialFolder(tmp_path / "00000")
    (folder.path / ".model.0123abcd").mkdir()
    (folder.path / ".model.0123abcd" / "model.safetensors").write_bytes(b"half")
    (folder.path / "scores").mkdir()
    (folder.path / "scores" / ".small_report.parquet.89abcdef").write_bytes(b"half")
    run(workshop, tmp_path)
    assert sorted(one.name for one in folder.path.iterdir()) == ["curve.json", "model", "result.json", "scores"]
    assert [one.name for one in (folder.path / "scores").iterdir()] == ["small_report.parquet"]


def test_what_is_too_small_for_a_batch_is_named_in_the_result(tmp_path: Path):
    workshop = make_workshop(tmp_path)
    drop_language(tmp_path / "data" / "small.csv", "de", 10)
    changes = {"batches.size": 12, "batches.mix": {"monolingual": 1.0}}
    result = run(workshop, tmp_path, changes)
    assert set(result.mixture.pairs) == {"en-en", "es-es"}
    (note,) = result.mixture.left_out
    assert re.fullmatch(r"monolingual: small-train de has \d items, a batch needs 12", note)
    assert run(workshop, tmp_path / "all", {**changes, "batches.size": 4}).mixture.left_out == ()


def test_a_pruned_trial_has_rungs_and_no_values(workshop: Workshop, tmp_path: Path):
    result = run(workshop, tmp_path, verdicts=Rungs(prune_at=4))
    assert (result.state, result.values, result.steps, len(result.rungs)) == ("pruned", None, 4, 2)
    assert result.reason == "not among the best at step 4"
    assert not (tmp_path / "00000" / "model").exists()
    assert not (tmp_path / "00000" / "checkpoints").exists()


def test_a_loss_that_is_not_finite_ends_the_trial_as_failed(workshop: Workshop, tmp_path: Path):
    changes = {"training.learning_rate": 1.0, "training.clip_norm": None, "loss.temperature": 1e-40}
    result = run(workshop, tmp_path, changes)
    assert result.state == "failed"
    assert result.reason is not None
    assert result.reason.startswith("training, loss: the loss is not finite at step 0")
    assert "learning_rate=1, temperature=1e-40, clip_norm=None" in result.reason
    assert "likely causes" in result.reason
    assert result.values is None


def test_the_step_of_the_first_loss_that_is_not_finite_is_named(workshop: Workshop):
    trainer = make_trainer(workshop)
    trainer.train_until(3, lambda point: None)
    spoil(trainer)
    with pytest.raises(TrialError, match="the loss is not finite at step 3"):
        trainer.train_until(6, lambda point: None)


def test_a_weight_that_is_not_finite_after_the_last_step_is_found_too(workshop: Workshop):
    trainer = make_trainer(workshop)
    unused = len(workshop.tokenizer(trainer.experiment)[0]) - 1  # a token that no training text has: no loss sees it
    embedding = trainer.model.encoder.body.get_input_embeddings().weight
    (tokens,) = workshop.training_tokens(trainer.experiment)
    ids = np.unique(np.concatenate([tokens.questions.ids, tokens.passages.ids]))
    row = next(index for index in range(unused, -1, -1) if index not in ids)
    with torch.no_grad():
        embedding[row, 0] = float("inf")
    with pytest.raises(TrialError, match="a weight is not finite at step 1"):
        trainer.train_until(2, lambda point: None)


def spoil(trainer: Trainer) -> None:
    with torch.no_grad():
        next(iter(trainer.model.encoder.body.encoder.parameters()))[0] = float("inf")


def test_early_stopping_ends_the_trial_and_keeps_the_best_weights(workshop: Workshop, tmp_path: Path):
    result = run(workshop, tmp_path, STOPPING)
    values = [rung.summary["map_mono"] for rung in result.rungs]
    best = int(np.argmin(values))
    assert result.best_step == result.rungs[best].step < result.steps == result.rungs[-1].step < 40
    assert len(values) - 1 - best == 2, "two evaluations without improvement"
    assert result.values == (values[best],)
    kept = from_folder_or_name(str(tmp_path / "00000" / "model"))
    made = experiment(STOPPING)
    tokens = workshop.task_tokens(made, workshop.data(made.data).selection)
    measured = measure(kept.encoder(workshop.tokenizer(made)[0]), tokens)
    assert measured is not None
    assert measured[0].summary == result.rungs[best].summary
    assert not (tmp_path / "00000" / "best").exists()


def test_waiting_goes_on_where_it_was_after_an_interruption(workshop: Workshop, tmp_path: Path):
    whole = run(workshop, tmp_path / "whole", STOPPING)
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path / "parts", STOPPING, Rungs(interrupt_at=whole.steps - 2))
    assert figures(run(workshop, tmp_path / "parts", STOPPING)) == figures(whole)
    assert same_weights(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("learn", [True, False])
def test_a_learnt_temperature_moves_and_a_fixed_one_does_not(workshop: Workshop, tmp_path: Path, learn: bool):
    run(workshop, tmp_path, {"loss.learn_temperature": learn})
    curve = TrialFolder(tmp_path / "00000").read_curve()
    assert curve[0].temperature == pytest.approx(0.05, rel=0.05)
    moved = [abs(point.temperature - 0.05) > 1e-4 for point in curve]
    assert moved[-1] is learn
    assert learn or not any(moved)


def test_a_learnt_temperature_stays_above_its_bound_at_every_step(workshop: Workshop):
    easy = {"loss.learn_temperature": True, "loss.temperature": 0.02, "training.learning_rate": 0.3}
    points: list[Any] = []
    make_trainer(workshop, {**easy, "training.warmup": 0.0}).train_until(6, points.append)
    assert min(point.temperature for point in points) >= 0.01 * (1 - 1e-6)


def test_training_learns(workshop: Workshop, tmp_path: Path):
    result = run(workshop, tmp_path, {"training.steps": 60, "training.evaluate_every": 30})
    assert result.rungs[-1].train_loss < 0.8 * result.rungs[0].train_loss
    assert result.rungs[-1].summary["map_mono"] > result.rungs[0].summary["map_mono"]


def test_a_damaged_checkpoint_stops_the_trial_with_a_message_and_nothing_is_lost(workshop: Workshop, tmp_path: Path):
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path, verdicts=Rungs(interrupt_at=4))
    checkpoints = TrialFolder(tmp_path / "00000").checkpoints
    file = checkpoints / "step-00000004" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(UserError, match=r"this checkpoint is damaged(.|\n)*training goes on from step-00000002"):
        run(workshop, tmp_path)
    assert sorted(one.name for one in checkpoints.iterdir()) == ["step-00000002", "step-00000004"]


def test_damaged_best_weights_stop_the_trial_with_a_remedy_that_mends_it(workshop: Workshop, tmp_path: Path):
    whole = run(workshop, tmp_path / "whole", STOPPING)
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path, STOPPING, Rungs(interrupt_at=whole.steps))
    folder = TrialFolder(tmp_path / "00000")
    (folder.best_weights / "model.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match="delete this folder and checkpoints beside it, then run") as caught:
        run(workshop, tmp_path, STOPPING)
    assert str(caught.value.file) == str(folder.best_weights)
    shutil.rmtree(folder.best_weights)
    shutil.rmtree(folder.checkpoints)
    assert figures(run(workshop, tmp_path, STOPPING)) == figures(whole)


def test_an_evaluation_without_a_value_is_never_the_best():
    (objective,), settings = experiment().search.objectives, EarlyStopping(patience=2)
    best = BestSoFar()
    assert [best.see(step, value, objective, settings) for step, value in enumerate((NAN, 0.2, NAN, 0.3))] == [
        False,
        True,
        False,
        True,
    ]
    assert (best.step, best.value, best.waited) == (3, 0.3, 0)


def test_the_number_of_threads_is_that_of_the_trial(workshop: Workshop):
    before = torch.get_num_threads()
    try:
        make_trainer(workshop, {"training.threads": 2})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def losses_of(workshop: Workshop, changes: dict[str, Any]) -> list[float]:
    found: list[float] = []
    make_trainer(workshop, {"training.steps": 8, **changes}).train_until(8, lambda point: found.append(point.loss))
    return found


@pytest.mark.parametrize("chunk", ["auto", 60, 1])
@pytest.mark.parametrize("checkpointing", [True, False])
def test_what_saves_memory_changes_no_step(workshop: Workshop, chunk: int | str, checkpointing: bool):
    memory = {"training.chunk_tokens": chunk, "training.gradient_checkpointing": checkpointing}
    assert losses_of(workshop, memory) == pytest.approx(losses_of(workshop, {}), abs=1e-5)


def test_states_that_are_computed_again_meet_the_same_dropout(workshop: Workshop):
    lively = {**LIVELY, "training.gradient_checkpointing": True}
    assert losses_of(workshop, lively) == pytest.approx(losses_of(workshop, LIVELY), abs=1e-5)
    assert abs(losses_of(workshop, LIVELY)[0] - losses_of(workshop, {})[0]) > 1e-3


def test_bfloat16_trains_nearly_alike_and_keeps_weights_in_float32(workshop: Workshop):
    curves: list[list[float]] = [[], []]
    for found, precision in zip(curves, ("fp32", "bf16"), strict=True):
        trainer = make_trainer(workshop, {"training.precision": precision})
        trainer.train_until(6, lambda point, to=found: to.append(point.loss))
        assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
    assert curves[0] != curves[1]
    assert curves[0] == pytest.approx(curves[1], rel=0.05)


def test_a_gradient_that_is_not_finite_is_named_with_its_step(workshop: Workshop):
    trainer = make_trainer(workshop)
    trainer.train_until(1, lambda point: None)
    weight = next(trainer.model.encoder.body.encoder.parameters())
    weight.register_hook(lambda gradient: torch.full_like(gradient, float("nan")))
    with pytest.raises(TrialError, match="the gradient is not finite at step 1"):
        trainer.train_until(2, lambda point: None)


def test_what_a_trial_held_goes_with_it_and_does_not_wait_for_a_garbage_collection(workshop: Workshop, tmp_path: Path):
    made = make_trainer(workshop, {"training.lora": {}})
    made.train_until(2, lambda point: None)
    held = [weakref.ref(one) for one in (made, made.optimizer, *made.model.parameters())]
    gc.collect()
    gc.disable()
    try:
        del made
        assert not any(one() is not None for one in held)
    finally:
        gc.enable()


def test_settings_that_leave_nothing_to_train_fail_a_searched_trial_alone(workshop: Workshop, tmp_path: Path):
    made = experiment({"training.freeze_embeddings": True, "training.freeze_layers": 1})
    spec = TrialSpec(study="small", number=0, params={"training.freeze_layers": 1}, baseline=None, experiment=made)
    result = run_trial(spec, TrialFolder(tmp_path / "00000"), workshop, Rungs())
    assert result is not None
    assert (result.state, (result.reason or "").splitlines()[0]) == (
        "failed",
        "training.freeze_layers: nothing of the encoder is left to train",
    )


def test_an_embedding_cannot_be_cut_to_its_own_width(workshop: Workshop):
    made = {"loss.matryoshka": [4, 16], "search.baselines": {}}
    for refused in (
        lambda: make_trainer(workshop, made).train_until(1, lambda point: None),
        lambda: check_study(experiment(made), workshop.location),
    ):
        with pytest.raises(ConflictError, match=r"loss\.matryoshka: the whole embedding(.|\n)*widths below 16"):
            refused()


def test_who_alone_knows_of_a_failure_ends_the_group(workshop: Workshop, tmp_path: Path, monkeypatch: Any):
    def out_of_memory(run: TrialRun) -> TrialResult:
        raise OneWorkerError("not even one text fits", path="training, backbone")

    monkeypatch.setattr(TrialRun, "to_the_end", out_of_memory)
    folder = TrialFolder(tmp_path / "00000")
    with pytest.raises(BrokenGroupError, match="failed in one of its workers"):
        run_trial(spec_of(experiment()), folder, workshop, Rungs(), shard=Shard(1, 2))
    result = folder.read_result()
    assert result is not None
    assert (result.state, result.reason) == ("failed", "training, backbone: not even one text fits")


def test_a_lack_of_memory_outside_the_encoder_fails_the_trial_with_a_remedy(
    workshop: Workshop, tmp_path: Path, monkeypatch: Any
):
    def out_of_memory(optimizer: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the manual")

    monkeypatch.setattr(torch.optim.AdamW, "step", out_of_memory)
    result = run(workshop, tmp_path)
    assert (result.state, (result.reason or "").splitlines()[:2]) == (
        "failed",
        [
            "training, backbone: the accelerator's memory is too small, whatever the parts of a batch",
            "  seen:    'CUDA out of memory. Tried to allocate 2.00 GiB.'",
        ],
    )
    assert "training.trim_vocabulary, training.lora or a smaller backbone" in (result.reason or "")


def test_the_curve_says_what_of_the_loss_comes_from_each_arm(workshop: Workshop):
    optical = {"bitext": {"dataset": "bitext", "path": BITEXT}, "batch_size": 8, "weight": 0.5}
    points: list[Any] = []
    made = {"arms.bias-penalty": {"weight": 0.3}, "arms.optical": optical, "training.steps": 400}
    make_trainer(workshop, made).train_until(6, points.append)
    assert [point.step for point in points] == [2, 4, 6], "means of two steps"
    for point in points:
        assert list(point.terms) == ["info_nce", "bias-penalty", "optical"]
        assert min(point.terms.values()) > 0
        assert sum(point.terms.values()) == pytest.approx(point.loss, rel=1e-5)
    make_trainer(workshop).train_until(2, points.append)
    assert points[-1].terms == {}, "one term: it is the loss"


def test_steps_say_how_long_they_waited_for_their_texts(workshop: Workshop):
    points: list[Any] = []
    make_trainer(workshop).train_until(6, points.append)
    assert all(0 <= point.waited < 1 for point in points)
    assert points[0].waited > 0
