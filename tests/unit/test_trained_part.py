"""What of an encoder is trained: adapters, layers and their rates, by hand and in trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.published_laser import small_laser
from tests.published_models import PublishedModels
from tests.small_study import experiment
from tests.tiny_trial import InterruptedTrialError, Rungs, make_trainer, run
from torch import Tensor

from hybridbatch.backbones.huggingface import from_folder_or_name
from hybridbatch.evaluation.measure import measure
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.checks import check_study
from hybridbatch.spec.folders import TrialFolder
from hybridbatch.spec.trial import TrialResult
from hybridbatch.training.layers import layers_of
from hybridbatch.training.optimization import learning_rate, set_learning_rates
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.workshop import Workshop

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TWO_LAYERS = {"backbone.layers": 2, "loss.learn_temperature": True}
LORA = {"rank": 2, "alpha": 8, "dropout": 0.2}
SWITCHES: dict[str, dict[str, Any]] = {
    "trimmed": {"training.trim_vocabulary": True},
    "adapters": {"training.lora": LORA},
    "frozen": {"training.freeze_embeddings": True, "training.freeze_layers": 1},
    "decayed": {"training.layer_decay": 0.5},
    "adapters in parts of a trimmed encoder": {
        "training.lora": LORA,
        "training.trim_vocabulary": True,
        "training.chunk_tokens": 60,
        "training.gradient_checkpointing": True,
    },
    "decayed, trimmed and half frozen": {
        "training.layer_decay": 0.7,
        "training.trim_vocabulary": True,
        "training.freeze_layers": 1,
    },
}


def pretrained(kind: str, published: PublishedModels) -> dict[str, Any]:
    where = {"folder": str(small_laser())} if kind == "laser" else {"name": str(published(kind))}
    return {"backbone": {"kind": kind, **where, "question_tokens": 24, "passage_tokens": 24}}


def saved(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = load_file(folder / "00000" / "model" / "model.safetensors")
    return found


def trained_names(trainer: Trainer) -> set[str]:
    return {name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("switch", list(SWITCHES))
def test_an_interrupted_trial_ends_as_if_it_had_not_been(workshop: Workshop, tmp_path: Path, switch: str):
    change = {**TWO_LAYERS, "backbone.dropout": 0.3, **SWITCHES[switch]}
    whole = run(workshop, tmp_path / "whole", change)
    assert (whole.state, whole.reason) == ("complete", None)
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path / "parts", change, Rungs(interrupt_at=4))
    resumed = run(Workshop(workshop.location), tmp_path / "parts", change)

    def figures(result: TrialResult) -> list[Any]:
        return [*((rung.train_loss, rung.summary) for rung in result.rungs), result.report["small_report"].cells]

    assert figures(resumed) == figures(whole)
    one, other = saved(tmp_path / "whole"), saved(tmp_path / "parts")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    curves = [TrialFolder(tmp_path / name / "00000").read_curve() for name in ("parts", "whole")]
    assert [point.temperature for point in curves[0]] == [point.temperature for point in curves[1]]


@pytest.mark.parametrize("switch", list(SWITCHES))
def test_the_model_is_a_plain_one_that_gives_the_figures_of_the_result(workshop: Workshop, tmp_path: Path, switch: str):
    change = {**TWO_LAYERS, "training.learning_rate": 0.03, **SWITCHES[switch]}
    result = run(workshop, tmp_path, change)
    made = experiment(change)
    untouched = workshop.encoder(made).body.state_dict()
    weights = saved(tmp_path)
    assert {name: one.shape for name, one in weights.items()} == {name: one.shape for name, one in untouched.items()}
    model = from_folder_or_name(str(tmp_path / "00000" / "model"))
    tokens = workshop.task_tokens(made, workshop.data(made.data).report[0])
    measured = measure(model.encoder(workshop.tokenizer(made)[0]), tokens)
    assert measured is not None
    assert measured[0].summary == result.report["small_report"].summary
    assert measured[0].cells == result.report["small_report"].cells


# --- adapters


@pytest.mark.parametrize("kind", ["xlm-r", "labse", "mbart"])
def test_adapters_begin_at_nothing_and_are_all_that_is_trained(
    workshop: Workshop, published: PublishedModels, kind: str
):
    change = {**pretrained(kind, published), "training.lora": LORA, "loss.learn_temperature": True}
    trainer = make_trainer(workshop, change)
    names = trained_names(trainer)
    targets = ("q_proj", "v_proj") if kind == "mbart" else ("query", "value")
    ends = {f"{target}.lora_{side}.default.weight" for target in targets for side in "AB"}
    assert {".".join(name.split(".")[-4:]) for name in names - {"log_temperature"}} == ends
    assert len(names) == 2 * 2 * 2 + 1, "two layers, two targets, two matrices; and the temperature"
    whole = workshop.encoder(trainer.experiment).eval()
    ids_BT = torch.tensor([[5, 7, 9], [4, 4, 8]])
    trainer.encoder.eval()
    assert torch.equal(trainer.encoder(ids_BT, torch.ones_like(ids_BT)), whole(ids_BT, torch.ones_like(ids_BT)))
    before = {name: one.clone() for name, one in trainer.model.state_dict().items()}
    trainer.train_until(2, lambda point: None)
    moved = {name for name, one in trainer.model.state_dict().items() if not torch.equal(one, before[name])}
    assert moved == names


def test_what_adapters_learnt_is_a_product_of_their_rank_in_the_saved_weights(workshop: Workshop, tmp_path: Path):
    change = {**TWO_LAYERS, "training.lora": {**LORA, "targets": ["query", "output.dense"]}}
    run(workshop, tmp_path, change)
    before, after = workshop.encoder(experiment(change)).body.state_dict(), saved(tmp_path)
    for name, weight in after.items():
        learnt = weight - before[name]
        if name.endswith(("query.weight", "output.dense.weight")):
            assert torch.linalg.matrix_rank(learnt, rtol=1e-3) == LORA["rank"], name
        else:
            assert not learnt.any(), name


# --- layers


@pytest.mark.parametrize(
    ("kind", "embeddings", "lowest", "last", "after"),
    [
        ("xlm-r", "body.embeddings.LayerNorm.bias", "body.encoder.layer.0.a", "body.encoder.layer.1.a", "dense.0.a"),
        ("mbart", "body.layernorm_embedding.bias", "body.layers.0.a", "body.layers.1.a", "body.layer_norm.bias"),
        ("laser", "body.embed_tokens.weight", "body.lstm.weight_hh_l0", "body.lstm.bias_ih_l1_reverse", "dense.0.a"),
    ],
)
def test_the_depth_of_a_parameter_by_hand(
    published: PublishedModels, workshop: Workshop, kind: str, embeddings: str, lowest: str, last: str, after: str
):
    encoder = workshop.encoder(experiment(pretrained(kind, published)))
    layers = layers_of(encoder.body)
    assert layers.count == 2
    assert [layers.depth(name) for name in (embeddings, lowest, last, after)] == [0, 1, 2, 3]
    found = {layers.depth(name) for name, _ in encoder.named_parameters()}
    assert found == (
        {0, 1, 2, 3} if kind == "mbart" else {0, 1, 2} | ({3} if hasattr(encoder.body, "pooler") else set())
    )


@pytest.mark.parametrize("kind", ["scratch", "labse", "mbart", "laser"])
def test_each_layer_moves_at_its_own_rate(workshop: Workshop, published: PublishedModels, kind: str):
    backbone = TWO_LAYERS if kind == "scratch" else {**pretrained(kind, published), "loss.learn_temperature": True}
    rate = {"training.learning_rate": 1e-3, "training.warmup": 0.0, "training.weight_decay": 0.0}
    trainer = make_trainer(workshop, {**backbone, **rate, "training.layer_decay": 0.1})
    before = {name: one.clone() for name, one in trainer.model.state_dict().items()}
    trainer.train_until(1, lambda point: None)
    layers = layers_of(trainer.encoder.body)
    seen: dict[int, float] = {}
    for name, one in trainer.model.state_dict().items():
        depth = layers.depth(name.removeprefix("encoder.")) if name != "log_temperature" else 3
        seen[depth] = max(seen.get(depth, 0.0), float((one - before[name]).abs().max()))
    # AdamW's first step is the rate in the direction of the gradient, whatever its length
    expected = {0: 1e-5, 1: 1e-4, 2: 1e-3, 3: 1e-3}
    assert seen == pytest.approx(expected, rel=0.03)


def test_groups_have_names_and_the_shares_of_the_schedule(workshop: Workshop):
    trainer = make_trainer(workshop, {**TWO_LAYERS, "training.layer_decay": 0.5, "training.weight_decay": 0.3})
    groups = {group["name"]: group for group in trainer.optimizer.param_groups}
    assert set(groups) == {f"{share} of the rate, {how}" for share in ("0.25", "0.5", "1") for how in DECAYS}
    settings = trainer.experiment.training
    for step in (0, 3, 5):
        set_learning_rates(trainer.optimizer, step, settings)
        for name, group in groups.items():
            assert group["lr"] == learning_rate(step, settings) * float(name.split()[0])
            assert group["weight_decay"] == (0.0 if "not" in name else 0.3)
    assert sum(len(group["params"]) for group in groups.values()) == len(list(trainer.model.parameters()))
    assert len(make_trainer(workshop, TWO_LAYERS).optimizer.param_groups) == 2, "one rate: two groups, as ever"


DECAYS = ("decaying", "not decaying")


@pytest.mark.parametrize(
    ("embeddings", "layers", "kept"),
    [(True, 0, ("embeddings.",)), (False, 1, ("encoder.layer.0.",)), (True, 1, ("embeddings.", "encoder.layer.0."))],
)
def test_what_is_frozen_stays_to_the_bit_and_all_else_is_trained(
    workshop: Workshop, tmp_path: Path, embeddings: bool, layers: int, kept: tuple[str, ...]
):
    change = {**TWO_LAYERS, "training.freeze_embeddings": embeddings, "training.freeze_layers": layers}
    run(workshop, tmp_path, {**change, "training.weight_decay": 0.5})
    before, after = workshop.encoder(experiment(change)).body.state_dict(), saved(tmp_path)
    for name, weight in after.items():
        assert torch.equal(weight, before[name]) == name.startswith(kept), name


# --- settings that do not go together


def test_adapters_with_something_frozen_are_refused_when_the_file_is_read():
    for name, value in (("freeze_layers", 1), ("freeze_embeddings", True)):
        with pytest.raises(UserError, match=rf"training\.{name}: adapters freeze the whole encoder already"):
            experiment({"training.lora": {}, f"training.{name}": value})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "more layers than there are": (
        {"training.freeze_layers": 3},
        r"training\.freeze_layers: the encoder has fewer layers(.|\n)*seen: +3\n(.|\n)*0 to 2",
    ),
    "no such linear layer": (
        {"training.lora": {"targets": ["query", "q_proj"]}},
        r"training\.lora\.targets: the transformer has no linear layers of that name(.|\n)*q_proj in(.|\n)*dense, key",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_an_encoder_does_not_have_is_refused_by_plan_and_by_the_trial(workshop: Workshop, name: str):
    change, message = REFUSED[name]
    with pytest.raises(UserError, match=message):
        make_trainer(workshop, {**TWO_LAYERS, **change})
    with pytest.raises(UserError, match=message):
        check_study(experiment({**TWO_LAYERS, **change, "search.baselines": {}}), workshop.location)


def test_laser_has_no_layers_for_adapters(workshop: Workshop, published: PublishedModels):
    change = {**pretrained("laser", published), "training.lora": {}}
    for refused in (
        lambda: make_trainer(workshop, change),
        lambda: check_study(experiment({**change, "search.baselines": {}}), workshop.location),
    ):
        with pytest.raises(UserError, match=r"training\.lora: this encoder has no layers that adapters go into"):
            refused()


def test_both_ends_of_a_searched_number_of_layers_are_tried_by_plan(workshop: Workshop):
    searched = {"search.space": {"training.freeze_layers": {"integer": [0, 3]}}, "search.baselines": {}}
    with pytest.raises(UserError, match=r"fewer layers than that, with training\.freeze_layers 3"):
        check_study(experiment({**TWO_LAYERS, **searched}), workshop.location)
    searched["search.space"] = {"training.freeze_layers": {"integer": [0, 2]}}
    check_study(experiment({**TWO_LAYERS, **searched}), workshop.location)


def test_an_encoder_with_nothing_left_to_train_is_refused(workshop: Workshop):
    change = {**TWO_LAYERS, "training.freeze_embeddings": True, "training.freeze_layers": 2}
    with pytest.raises(UserError, match=r"training\.freeze_layers: nothing of the encoder is left(.|\n)*0 to 1"):
        make_trainer(workshop, change)


def test_layers_that_cannot_be_told_apart_are_refused():
    with pytest.raises(UserError, match="the layers of this encoder cannot be told apart"):
        layers_of(torch.nn.Sequential(torch.nn.Linear(2, 2)))
