"""A trial with mBART, whose tokenizer is told languages: trained, kept, evaluated, searched and perturbed alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.command_line import CommandLine
from tests.published_models import PublishedModels
from tests.small_study import experiment
from tests.tiny_trial import make_workshop, run

from hybridbatch.evaluation.corpus_evaluation import SearchSettings, search_corpus
from hybridbatch.evaluation.evaluate_model import encode_with_model
from hybridbatch.evaluation.load_model import load_model
from hybridbatch.evaluation.parts_of_work import LocalRunner
from hybridbatch.evaluation.robustness import Plan, evaluate_robustness
from hybridbatch.evaluation.text_embeddings import TextEmbeddings
from hybridbatch.foundation.registries import AUGMENTATIONS
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import TrialResult

REPORT = experiment().data.report[0]
Trial = tuple[TrialResult, Path, DataLocation]


@pytest.fixture(scope="module")
def trial(published: PublishedModels, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A finished trial, its model and where its data lies."""
    root = tmp_path_factory.mktemp("mbart")
    workshop = make_workshop(root)
    backbone = {"kind": "mbart", "name": str(published("mbart")), "question_tokens": 24, "passage_tokens": 24}
    result = run(workshop, root, {"backbone": backbone, "training.steps": 4})
    assert (result.state, result.reason) == ("complete", None)
    return result, root / "00000" / "model", workshop.location


def test_evaluating_the_trial_gives_its_own_figures(trial: Trial):
    result, model, location = trial
    measured, _ = encode_with_model(str(model), REPORT, location).evaluate()
    assert measured.summary == result.report["small_report"].summary
    assert 0 < measured.summary["map_multi"] < 1


def test_the_command_line_gives_them_too(trial: Trial, command_line: CommandLine):
    result, model, location = trial
    data = ("-d", "parallel-pairs", "--set", "path=small_report.csv", "--data", location.root)
    done = command_line("evaluate", model, *data, "--json")
    assert done.code == 0, done.err
    known = result.report["small_report"].summary
    assert {
        name: done.json[name] for name in ("map_mono", "map_cross", "map_multi", "rank_distance")
    }.items() <= known.items()


def test_search_and_single_texts_have_the_embeddings_of_evaluate(trial: Trial, tmp_path: Path):
    _, model, location = trial
    encoded = encode_with_model(str(model), REPORT, location)
    rows = encoded.task.candidates
    passages = TextEmbeddings(load_model(str(model)), "passage", tmp_path)
    candidates_ND = passages.of(list(rows["text"]), list(rows["language"])).numpy()
    np.testing.assert_array_equal(candidates_ND, encoded.candidates_ND)
    settings = SearchSettings(shards=1, top=10)
    found = search_corpus(
        str(model), REPORT, DataLocation(location.root, tmp_path), settings, LocalRunner(1), lambda *state: None
    )
    scores_QN = encoded.questions_QD @ encoded.candidates_ND.T
    np.testing.assert_allclose(found.best.scores_QK[:, 0], scores_QN.max(axis=1), atol=1e-5)


def test_a_text_in_another_language_is_another_text(trial: Trial, tmp_path: Path):
    loaded = load_model(str(trial[1]))
    texts = ["thing1 liegt bei spot1"]
    german, spanish = (TextEmbeddings(loaded, "query", tmp_path).of(texts, [one])[0] for one in ("de", "es"))
    assert (german - spanish).abs().max() > 1e-3, "their token stores lie in one cache"
    both_RD = TextEmbeddings(loaded, "query", tmp_path).of(texts * 3, ["es", "de", "es"])
    assert (both_RD[0] - spanish).abs().max() < 1e-6
    assert (both_RD[1] - german).abs().max() < 1e-6
    assert torch.equal(both_RD[0], both_RD[2])


def test_perturbed_texts_and_distractors_are_read_in_their_language(trial: Trial):
    result, model, location = trial
    pool = experiment().data.selection
    perturbations = (
        AUGMENTATIONS.get("typos")(),
        AUGMENTATIONS.get("distractors")(pool=pool, order="adversarial", ratio=0.1),
    )
    plan = Plan({"mine": str(model)}, REPORT, perturbations, strengths=(1.0,), seeds=(0,))
    plain, typos, distractors = evaluate_robustness(plan, location)
    assert plain.result.summary == result.report["small_report"].summary
    assert typos.result.summary != plain.result.summary
    assert distractors.variant.perturbed.added == {"*": 18, "de": 6, "en": 6, "es": 6}
