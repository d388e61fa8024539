"""LASER2 as the backbone of a study, and as a model that somebody published."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.command_line import CommandLine
from tests.published_laser import checkpoint, write_published
from tests.small_study import experiment, write_data, write_file
from tests.tiny_trial import Rungs

from hybridbatch.backbones.backbone import TrainingText
from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.encoders.text_encoder import pool
from hybridbatch.backbones.laser import LaserBackbone
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.checks import check_study
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import TrialSpec
from hybridbatch.training.trial import run_trial
from hybridbatch.training.workshop import Workshop

LASER = {"kind": "laser", "folder": "models/laser2", "question_tokens": 24, "passage_tokens": 24}
REPORT = ("-d", "parallel-pairs", "--set", "path=small_report.csv", "--json")
PUBLISHED = Path(os.environ.get("HYBRIDBATCH_DATA", "")) / "models" / "laser2"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with the published files below it."""
    write_published(tmp_path / "data" / "models" / "laser2")
    return write_data(tmp_path / "data")


def test_a_trial_learns_and_its_model_evaluates_to_the_figures_of_its_result(
    command_line: CommandLine, tmp_path: Path, data: Path
) -> None:
    home = HomeFolder(tmp_path / "home")
    changes = {"backbone": LASER, "training.steps": 30, "training.learning_rate": 0.03, "training.evaluate_every": 15}
    made = experiment(changes)
    spec = TrialSpec(study=made.name, number=0, params={}, baseline=None, experiment=made)
    folder = home.study(made.name).trial(0)
    result = run_trial(spec, folder, Workshop(DataLocation(data, home.cache)), Rungs())
    assert result is not None
    assert (result.state, result.reason) == ("complete", None)
    losses = [rung.train_loss for rung in result.rungs]
    assert losses[1] < losses[0]
    before, after = checkpoint()["model"], load_file(folder.model / "model.safetensors")
    assert {name: one.shape for name, one in after.items()} == {name: one.shape for name, one in before.items()}
    assert not any(torch.equal(after[name], before[name]) for name in before), "every weight was trained"
    again = command_line("evaluate", "small/0", *REPORT, "--data", data, "--home", home.path)
    assert again.code == 0, again.err
    (reported,) = result.report.values()
    for name, value in reported.summary.items():
        assert again.json[name] == pytest.approx(value, abs=1e-6), name


def test_published_files_are_evaluated_as_they_are(command_line: CommandLine, tmp_path: Path, data: Path) -> None:
    folder = data / "models" / "laser2"
    backbone = LaserBackbone(kind="laser", folder=str(folder))
    tokenizer = backbone.tokenizer(TrainingText("", tuple, tmp_path))
    note = {"question_prefix": "", "passage_prefix": "", "question_tokens": 512, "passage_tokens": 512}
    save_encoder(backbone.encoder(tokenizer), tokenizer, note, tmp_path / "saved")
    where = (*REPORT, "--data", data, "--home", tmp_path / "home")
    published, saved = (command_line("evaluate", model, *where) for model in (folder, tmp_path / "saved"))
    assert published.code == saved.code == 0, published.err + saved.err
    figures = {**published.json, "seconds": None}
    assert 0 < figures["map_multi"] < 1
    assert figures == {**saved.json, "seconds": None}
    write_published(folder, checkpoint(seed=1))
    other = command_line("evaluate", folder, *where)
    assert {**other.json, "seconds": None} != figures, "not the embeddings of the weights that were there before"


def test_a_folder_is_found_below_the_data_folder_before_the_first_trial(
    command_line: CommandLine, tmp_path: Path, data: Path
) -> None:
    home = HomeFolder(tmp_path / "home")
    file = write_file(tmp_path, {"backbone": LASER})
    assert command_line("plan", file, "--home", home.path, "--data", data).code == 0
    (data / "models" / "laser2" / "laser2.spm").unlink()
    for command in (["plan", file], ["run", file, "--local"]):
        done = command_line(*command, "--home", home.path, "--data", data)
        missing = data / "models" / "laser2" / "laser2.spm"
        done.is_message(str(missing), "a file of LASER2 is missing", "fetch laser2.pt and laser2.spm from https://")
    assert not home.study("small").path.exists()


def test_a_searched_folder_is_tried_too(tmp_path: Path, data: Path) -> None:
    space = {"backbone.folder": {"choice": ["models/laser2", "models/nowhere"]}}
    made = experiment({"backbone": LASER, "search.baselines": {}, "search.space": space})
    with pytest.raises(
        UserError, match=r"nowhere: there is no LASER encoder here, with backbone\.folder models/nowhere"
    ):
        check_study(made, DataLocation(data, tmp_path / "cache"))


@pytest.mark.skipif(not (PUBLISHED / "laser2.pt").exists(), reason="laser2.pt is not below HYBRIDBATCH_DATA")
def test_the_published_weights_give_the_published_figures() -> None:
    """Figures from ``laser_encoders`` (its test of ``laser2``) and from SONAR (its test of ``laser2_text_encoder``)."""
    backbone = LaserBackbone(kind="laser", folder=str(PUBLISHED))
    tokenizer: Any = backbone.tokenizer(TrainingText("", tuple, Path()))
    encoder = backbone.encoder(tokenizer).eval()

    def states(text: str) -> torch.Tensor:
        ids_BT = torch.tensor([tokenizer(text)["input_ids"]])
        mask_BT = torch.ones_like(ids_BT)
        with torch.inference_mode():
            return pool(encoder.body(ids_BT, mask_BT).last_hidden_state, mask_BT, "max")[0]

    first = [0.010424625, 0.0063254288, -3.0326222e-05, 0.0090334769, 0.00029379339]
    assert states("This is a test sentence.")[:5].tolist() == pytest.approx(first, abs=1e-5)
    texts = ["to be or not to be", "être ou ne pas être", "i want to go biking", "je veux faire du vélo"]
    units_RD = torch.nn.functional.normalize(torch.stack([states(text) for text in texts]))
    similarities = [[1, 0.9614, 0.4412, 0.3923], [0.9614, 1, 0.4110, 0.3935]]
    assert (units_RD @ units_RD.T)[:2].tolist() == pytest.approx(similarities, abs=1e-3)
