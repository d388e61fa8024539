"""A model named as on the hub: found in the local cache, fetched in parts, and the same as its folder."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file
from tests.small_study import BITEXT, experiment
from tests.tiny_trial import make_workshop, run

from hybridbatch.backbones.backbone import TrainingText
from hybridbatch.backbones.encoders import hub
from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.huggingface import HuggingFaceBackbone, from_folder_or_name
from hybridbatch.backbones.scratch import ScratchBackbone
from hybridbatch.backbones.xlm_r import XlmRBackbone
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.token_store import tokenized
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import ARMS
from hybridbatch.spec import overrides
from hybridbatch.spec.sources import DataLocation

NAME, COMMIT = "some-people/some-model", "0123456789abcdef0123456789abcdef01234567"
TEXTS = ["Where is the tower?", "The tower stands in Paris, on the left bank of the Seine.", "Der Turm steht in Paris."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sentence-transformers folder: the first token, a dense layer, a prompt, a length."""
    root = tmp_path_factory.mktemp("model")
    model = root / "model"
    backbone = ScratchBackbone(kind="scratch", layers=1, width=16, heads=2, feed_forward=16, vocabulary=300)
    tokenizer = backbone.tokenizer(TrainingText("texts", lambda: TEXTS, root / "cache"))
    torch.manual_seed(1)
    save_encoder(backbone.encoder(tokenizer), tokenizer, {}, model)
    (model / "hybridbatch.json").unlink()
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Dense": "2_Dense", "Normalize": "3_Normalize"}
    contents: dict[str, Any] = {
        "modules.json": [{"type": f"sentence_transformers.models.{kind}", "path": at} for kind, at in kinds.items()],
        "1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
        "2_Dense/config.json": {"in_features": 16, "out_features": 5},
        "config_sentence_transformers.json": {"prompts": {"query": "query: "}},
        "sentence_bert_config.json": {"max_seq_length": 32},
    }
    for file, content in contents.items():
        (model / file).parent.mkdir(exist_ok=True)
        (model / file).write_text(json.dumps(content))
    layer = torch.nn.Linear(16, 5)
    weights = {f"linear.{name}": one.detach() for name, one in layer.named_parameters()}
    save_file(weights, model / "2_Dense" / "model.safetensors")
    return model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, which cannot be reached."""
    place = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub._snapshot.cache_clear()
    return place


def put(folder: Path, cache: Path, revision: str = "main", leave_out: str = "") -> None:
    """Put a model into a cache in the hub's own layout: blobs by content, links to them by commit."""
    repository = cache / f"models--{NAME.replace('/', '--')}"
    for file in sorted(folder.rglob("*")):
        if file.is_dir() or file.name == leave_out:
            continue
        blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, blob)
        link = repository / "snapshots" / COMMIT / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    (repository / "refs").mkdir()
    (repository / "refs" / revision).write_text(COMMIT)


def embeddings(backbone: HuggingFaceBackbone, place: Path) -> torch.Tensor:
    tokenizer = backbone.tokenizer(TrainingText("none", list, place))
    tokens = tokenized(TEXTS, "texts", tokenizer, "id", prefix="", longest=backbone.passage_tokens, cache=place)
    return encode(backbone.encoder(tokenizer), tokens)


def test_a_name_on_the_hub_is_the_same_model_as_its_folder(folder: Path, cache: Path, tmp_path: Path):
    put(folder, cache)
    by_name, by_folder = from_folder_or_name(NAME), from_folder_or_name(str(folder))
    assert (by_name.question_prefix, by_name.passage_tokens) == ("query: ", 32)
    assert by_name.model_dump(exclude={"name"}) == by_folder.model_dump(exclude={"name"})
    embeddings_RD = embeddings(by_name, tmp_path)
    assert embeddings_RD.shape == (len(TEXTS), 5)
    assert torch.equal(embeddings_RD, embeddings(by_folder, tmp_path))


def test_the_revision_asked_for_is_loaded_and_its_commit_known(folder: Path, cache: Path, tmp_path: Path):
    put(folder, cache, revision="v1")
    backbone = HuggingFaceBackbone(kind="huggingface", name=NAME, revision="v1")
    assert embeddings(backbone, tmp_path).shape == (len(TEXTS), 5)
    assert backbone.provenance() == {"revision": COMMIT}
    assert HuggingFaceBackbone(kind="huggingface", name=str(folder)).provenance() == {}
    with pytest.raises(UserError, match="the model cannot be loaded"):
        HuggingFaceBackbone(kind="huggingface", name=NAME).provenance()


def test_a_name_that_is_neither_in_the_cache_nor_to_be_fetched_is_refused(cache: Path):
    with pytest.raises(UserError) as caught:
        from_folder_or_name(NAME)
    assert str(caught.value).startswith(f"{NAME}: the model cannot be loaded\n  seen: ")
    assert "without network give a local folder" in str(caught.value)


def test_a_cache_that_may_lack_the_list_of_modules_is_warned_of(
    folder: Path, cache: Path, caplog: pytest.LogCaptureFixture
):
    put(folder, cache, leave_out="modules.json")
    with caplog.at_level(logging.WARNING):
        from_folder_or_name(NAME)
    assert "no modules.json: taken as a bare transformer" in caplog.text


def test_only_what_is_read_is_fetched(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    there = tmp_path / "there"
    shutil.copytree(folder, there)
    files = ("pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "onnx/config.json", "old/model.safetensors")
    for file in ("2_Dense/pytorch_model.bin", "README.md", "model.fp16.safetensors", *files):
        (there / file).parent.mkdir(exist_ok=True)
        (there / file).write_text("{}")
    fetched, snapshot = set[str](), tmp_path / "snapshots" / COMMIT

    def download(name: str, revision: str | None, **patterns: Any) -> str:
        assert (name, revision) in ((NAME, None), (NAME, COMMIT))
        every = [file.relative_to(there).as_posix() for file in there.rglob("*") if file.is_file()]
        for file in filter_repo_objects(every, **patterns):
            fetched.add(file)
            (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(there / file, snapshot / file)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    hub._snapshot.cache_clear()
    assert embeddings(from_folder_or_name(NAME), tmp_path).shape == (len(TEXTS), 5)
    assert fetched == {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_old_weights_are_fetched_where_there_are_no_others(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    there, snapshot = tmp_path / "there", tmp_path / "snapshots" / COMMIT
    shutil.copytree(folder, there)
    for place in (there, there / "2_Dense"):
        torch.save(load_file(place / "model.safetensors"), place / "pytorch_model.bin")
        (place / "model.safetensors").unlink()

    def download(name: str, revision: str | None, **patterns: Any) -> str:
        every = [file.relative_to(there).as_posix() for file in there.rglob("*") if file.is_file()]
        for file in filter_repo_objects(every, **patterns):
            (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(there / file, snapshot / file)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    hub._snapshot.cache_clear()
    by_folder = embeddings(from_folder_or_name(str(folder)), tmp_path)
    assert torch.equal(embeddings(from_folder_or_name(NAME), tmp_path), by_folder)


def test_a_trial_records_the_commit_of_its_pretrained_weights(folder: Path, cache: Path, tmp_path: Path):
    put(folder, cache)
    backbone = {"kind": "huggingface", "name": NAME, "question_tokens": 24, "passage_tokens": 24}
    result = run(make_workshop(tmp_path), tmp_path / "trial", {"backbone": backbone, "training.steps": 2})
    assert result.state == "complete"
    assert result.provenance["backbone"] == {"revision": COMMIT}


def test_a_trial_records_the_commits_of_its_teachers(folder: Path, cache: Path, tmp_path: Path):
    put(folder, cache)
    workshop = make_workshop(tmp_path)
    bitext = {"dataset": "bitext", "path": BITEXT}
    arms = {"distillation": {"teacher": NAME, "targets": "scores"}, "optical": {"bitext": bitext, "teacher": NAME}}
    for name, arm in arms.items():
        recorded = ARMS.get(name).model_validate_json(json.dumps(arm)).provenance(workshop.location)
        assert recorded["teacher"] == COMMIT
    made = {"arms.distillation": arms["distillation"], "training.steps": 2}
    result = run(workshop, tmp_path / "trial", made)
    assert (result.state, result.provenance["arms"]) == ("complete", {"distillation": {"teacher": COMMIT}})


def test_the_size_is_part_of_the_name_on_the_hub_and_can_be_searched(folder: Path, cache: Path, tmp_path: Path):
    assert XlmRBackbone(kind="xlm-r").model == "FacebookAI/xlm-roberta-base"
    made = experiment({"backbone": {"kind": "multilingual-e5"}})
    names = [overrides.apply(made, {"backbone.size": size}).backbone.model for size in ("small", "base", "large")]
    assert names == [f"intfloat/multilingual-e5-{size}" for size in ("small", "base", "large")]
    here = XlmRBackbone(kind="xlm-r", name=str(folder), size="large").located(DataLocation(tmp_path, tmp_path))
    assert here.model == str(folder), "a folder has its own size"
    with pytest.raises(UserError, match="FacebookAI/xlm-roberta-large: the model cannot be loaded"):
        XlmRBackbone(kind="xlm-r", size="large").tokenizer(TrainingText("none", list, tmp_path))
    with pytest.raises(UserError, match=r"backbone\.size: unknown value"):
        experiment({"backbone": {"kind": "xlm-r", "size": "huge"}})
