"""Distillation: its arithmetic, a teacher that encodes once, and a language that is learnt from targets alone."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.made_languages import settings, write_model, write_pairs
from tests.small_study import experiment
from tests.tiny_trial import make_trainer, run
from torch import Tensor

from hybridbatch.batching.plan import Batch
from hybridbatch.evaluation import load_model as loading
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.load_model import load_model
from hybridbatch.evaluation.token_store import tokenized_in_memory
from hybridbatch.foundation.errors import ConflictError, UserError
from hybridbatch.foundation.registries import ARMS
from hybridbatch.search.checks import check_study
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.arm import ArmContext, StepBatch
from hybridbatch.training.imitation import Imitation, score_divergence
from hybridbatch.training.losses import Shard
from hybridbatch.training.workshop import Workshop

LANGUAGES, SEEN = ("en", "xx", "yy"), ("xx", "yy")
STEPS = 50


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Parallel pairs, a teacher that knows the words of English alone, a student that knows those of the others."""
    folder = tmp_path_factory.mktemp("distillation")
    data = folder / "data"
    write_pairs(data / "train.csv", 300, LANGUAGES, seed=1, gap=False)
    write_pairs(data / "test.csv", 60, LANGUAGES, seed=2, gap=False)
    with open(data / "train.csv", "a", encoding="utf-8") as file:
        file.write("only,xx,xxqaa xxqab,xxqab xxqaa\n")  # the last item has no English
    write_model(data / "student", SEEN)
    write_model(data / "teacher", ["en"], seed=5)
    write_model(data / "wide", ["en"], seed=5, width=48)
    return Workshop(DataLocation(data, folder / "cache"))


def changes(arm: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    made = settings(
        "student", LANGUAGES, SEEN, **{"batches.mix": {"monolingual": 1.0}, "arms.distillation": arm, **more}
    )
    return {**made, "training": {"steps": STEPS, "learning_rate": 0.01, "evaluate_every": STEPS}}


def embeddings_of(model: Path, workshop: Workshop, file: str, language: str, column: str) -> Tensor:
    with open(workshop.location.root / file, encoding="utf-8") as rows:
        texts = [row[column] for row in csv.DictReader(rows) if row["language"] == language]
    loaded = load_model(str(model))
    prefix, _ = loaded.backbone.prefix_and_tokens(column == "query")
    return encode(loaded.encoder, tokenized_in_memory(texts, loaded.tokenizer, prefix=prefix, longest=16))


def first_is_right(questions_QD: Tensor, passages_QD: Tensor) -> float:
    best_Q = (questions_QD @ passages_QD.T).argmax(dim=1)
    return float((best_Q == torch.arange(len(best_Q))).double().mean())


def test_a_student_learns_the_space_of_a_language_that_it_cannot_read(workshop: Workshop, tmp_path: Path):
    teacher = workshop.location.root / "teacher"
    english = embeddings_of(teacher, workshop, "test.csv", "en", "passage")
    cross, found = {}, {}
    for name, arm in {"with": {"teacher": "teacher", "pivot": "en"}, "without": None}.items():
        cross[name] = run(workshop, tmp_path / name, changes(arm)).rungs[-1].summary["map_cross"]
        model = tmp_path / name / "00000" / "model"
        found[name] = first_is_right(embeddings_of(model, workshop, "test.csv", "xx", "query"), english)
    assert cross["with"] > 0.8, "xx and yy met nowhere but in the targets"
    assert found["with"] > 0.8, "questions of the student find what the teacher made of English passages"
    assert cross["without"] < 0.2
    assert found["without"] < 0.2


def term_of(workshop: Workshop, **arm: Any) -> Imitation:
    arm = {"teacher": "teacher", "pivot": "en", "weight": 1.0, **arm}
    context = ArmContext(experiment(changes(arm)), workshop, Shard(), "cpu")
    return Imitation(context, ARMS.get("distillation")(**arm))


def batch_of(items: list[int], language: int) -> StepBatch:
    languages = np.full(len(items), language)
    return StepBatch(Batch(0, "monolingual", 0, np.array(items), languages, languages), slice(0, len(items)))


def random_embeddings(texts: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    pair = (torch.randn(texts, 32, generator=generator) for _ in range(2))
    return dict(
        zip(("questions", "passages"), (torch.nn.functional.normalize(one, dim=-1) for one in pair), strict=True)
    )


def test_the_term_is_the_mean_squared_distance_to_the_teacher_of_the_pivot_language(workshop: Workshop):
    items, teacher = [3, 0, 300], workshop.location.root / "teacher"  # the last one has no English
    student = random_embeddings(3)
    distances = [
        2 - 2 * float(student[role][place] @ embeddings_of(teacher, workshop, "train.csv", "en", column)[item])
        for role, column in (("questions", "query"), ("passages", "passage"))
        for place, item in enumerate(items[:2])
    ]
    found = term_of(workshop).loss(student, batch_of(items, language=1), torch.tensor(0.05))
    assert found.item() == pytest.approx(sum(distances) / 4, rel=1e-5)
    assert term_of(workshop, weight=3.0).loss(student, batch_of(items, 1), torch.tensor(0.05)).item() == pytest.approx(
        3 * found.item()
    )
    assert term_of(workshop).loss(student, batch_of([300, 300, 300], 1), torch.tensor(0.05)).item() == 0


def test_without_a_pivot_the_teacher_encodes_each_text_as_it_is(workshop: Workshop):
    student = random_embeddings(1)
    own = embeddings_of(workshop.location.root / "teacher", workshop, "train.csv", "xx", "query")[4]
    passage = embeddings_of(workshop.location.root / "teacher", workshop, "train.csv", "xx", "passage")[4]
    expected = 2 - float(student["questions"][0] @ own) - float(student["passages"][0] @ passage)
    found = term_of(workshop, pivot=None).loss(student, batch_of([4], 1), torch.tensor(0.05))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_divergence_of_scores_is_that_of_the_definition():
    student, teacher = torch.tensor([[0.1, 0.3, 9.0]]), torch.tensor([[0.2, 0.0, -9.0]])
    has = torch.tensor([True, True, False])
    p, q = (1 / (1 + math.exp(-difference / 0.1)) for difference in (0.2, -0.2))  # of the first passage
    expected = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    assert score_divergence(student, teacher, has, 0.1).item() == pytest.approx(expected, rel=1e-5)
    assert score_divergence(teacher, teacher, has, 0.1).item() == 0


def test_scores_draw_a_student_to_a_teacher_of_another_width(workshop: Workshop, tmp_path: Path):
    wide = workshop.location.root / "wide"
    teacher = [embeddings_of(wide, workshop, "test.csv", "en", column) for column in ("query", "passage")]
    scores, every = teacher[0] @ teacher[1].T, torch.ones(60, dtype=torch.bool)
    divergences = {}
    for name, arm in {"with": {"teacher": "wide", "pivot": "en", "targets": "scores"}, "without": None}.items():
        run(workshop, tmp_path / name, changes(arm))
        model = tmp_path / name / "00000" / "model"
        student = [embeddings_of(model, workshop, "test.csv", "xx", column) for column in ("query", "passage")]
        divergences[name] = score_divergence(student[0] @ student[1].T, scores, every, 0.05).mean().item()
    assert divergences["with"] < 0.5 * divergences["without"]


def test_the_teacher_encodes_once_for_all_trials_and_workers(workshop: Workshop, monkeypatch: pytest.MonkeyPatch):
    student, step = random_embeddings(2), batch_of([0, 1], 1)
    first = term_of(workshop).loss(student, step, torch.tensor(0.05))

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is loaded again")

    monkeypatch.setattr(loading, "load_model", refuse)
    again = term_of(Workshop(workshop.location))
    assert torch.equal(again.loss(student, step, torch.tensor(0.05)), first)
    (targets,) = again._targets
    assert all(isinstance(one.embeddings_ND, np.memmap) for one in targets.values())
    with pytest.raises(AssertionError, match="loaded again"):
        term_of(Workshop(workshop.location), pivot="yy")


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        ({"teacher": "nobody"}, r"arms\.distillation\.teacher: the teacher cannot be used"),
        ({"teacher": "teacher", "pivot": "de"}, r"arms\.distillation\.pivot: the pivot language is in no training set"),
        (
            {"teacher": "wide"},
            r"arms\.distillation\.teacher: the teacher's embeddings are not as wide(.|\n)*48(.|\n)*32",
        ),
    ],
)
def test_plan_refuses_what_cannot_be_imitated(workshop: Workshop, arm: dict[str, Any], said: str):
    with pytest.raises(UserError, match=said):
        check_study(experiment(changes(arm)), workshop.location)


def test_widths_that_no_file_states_are_compared_at_the_first_step(workshop: Workshop):
    said = r"arms\.distillation\.teacher: (.|\n)*48 numbers, the student with 32(.|\n)*targets: scores"
    with pytest.raises(ConflictError, match=said):
        make_trainer(workshop, changes({"teacher": "wide"})).train_until(1, lambda point: None)


def test_widths_are_compared_also_by_a_worker_whose_own_texts_have_no_target(workshop: Workshop):
    batch = batch_of([300, 0], language=1).batch  # the first one has no English
    with pytest.raises(ConflictError, match="48 numbers, the student with 32"):
        term_of(workshop, teacher="wide").loss(random_embeddings(1), StepBatch(batch, slice(0, 1)), torch.tensor(0.05))


def test_a_teacher_that_is_gone_is_named_at_its_setting_by_the_trial_too(workshop: Workshop):
    with pytest.raises(UserError, match=r"nobody -> arms\.distillation\.teacher: the teacher cannot be used"):
        make_trainer(workshop, changes({"teacher": "nobody"}))


def test_other_threads_have_embeddings_of_their_own(workshop: Workshop):
    before, entries = torch.get_num_threads(), workshop.location.cache / "embeddings"
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            term_of(Workshop(workshop.location), teacher="wide", pivot="xx")
            found = set(entries.glob("*.npy"))
            if threads == 1:
                of_one = found
    finally:
        torch.set_num_threads(before)
    assert len(found - of_one) == 2, "questions and passages, encoded with two threads"
