"""Tasks with perturbed texts, and with passages added to their candidates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.perturbation_samples import perturbation

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.memory_mapped import TaskColumns, store_task
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.perturbed_task import ALL, ExtraPool, add_passages, nearness_of, perturb_texts
from hybridbatch.evaluation.task_ranks import language_offsets
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.perturbations import PoolPerturbation, Side, TextPerturbation
from hybridbatch.spec.sources import DataLocation

PASSAGES = {
    "en": ["The tower is in Paris.", "The lake is cold.", "Nothing else.", "A road."],
    "de": ["Der Turm steht in Paris.", "Der See ist kalt.", "Sonst nichts.", "Eine Straße."],
}
QUESTIONS = {"en": ["Where is the tower?", "How is the lake?"], "de": ["Wo ist der Turm?", "Wie ist der See?"]}


@pytest.fixture
def location(tmp_path: Path) -> DataLocation:
    return DataLocation(tmp_path, tmp_path / "cache")


def task_of(location: DataLocation, passages: dict[str, list[str]], name: str = "small") -> RetrievalTask:
    columns = TaskColumns()
    for language, texts in passages.items():
        columns.candidate_languages += [language] * len(texts)
        columns.candidates += texts
    for language, texts in QUESTIONS.items():
        for number, text in enumerate(texts):
            columns.items.append(f"q{number}")
            columns.languages.append(language)
            columns.questions.append(text)
            columns.relevant.append([number, len(passages["en"]) + number])
            columns.grades.append([2, 1])
            columns.contrasts.append({"en": 2})
    return store_task(name, ("en", "de"), location.cache, columns)


@pytest.fixture
def task(location: DataLocation) -> RetrievalTask:
    return task_of(location, PASSAGES)


def texts_of(task: RetrievalTask, side: str) -> list[str]:
    texts: list[str] = column_of(getattr(task, side), "text").to_pylist()
    return texts


def case(strength: float) -> TextPerturbation:
    one = perturbation("case", Path(), strength, to="upper")
    assert isinstance(one, TextPerturbation)
    return one


@pytest.mark.parametrize(
    ("side", "changed", "kept"),
    [("questions", ["questions"], ["candidates"]), ("passages", ["candidates"], ["questions"]),
     ("both", ["questions", "candidates"], [])],
)  # fmt: skip
def test_texts_of_a_side_are_perturbed_and_all_else_stays(
    task: RetrievalTask, location: DataLocation, side: Side, changed: list[str], kept: list[str]
) -> None:
    found = perturb_texts(task, case(1.0), side, location)
    for name in changed:
        assert texts_of(found.task, name) == [text.upper() for text in texts_of(task, name)]
        assert column_of(getattr(found.task, name), "language") == column_of(getattr(task, name), "language")
    for name in kept:
        assert getattr(found.task, name) is getattr(task, name)
    assert column_of(found.task.questions, "item") == column_of(task.questions, "item")
    assert found.task.fingerprint != task.fingerprint
    assert found.task.fingerprint == perturb_texts(task, case(1.0), side, location).task.fingerprint
    for name in ("relevant_offsets", "relevant_candidates", "grades_P", "contrasts_QL"):
        assert np.array_equal(getattr(found.task, name), getattr(task, name))
    assert {language: change.texts for language, change in found.changes.items()} == {ALL: 1.0, "en": 1.0, "de": 1.0}
    assert found.changes["en"].words > 0.9, "only the word A was in capitals before"


def test_what_changes_nothing_is_the_task_itself(task: RetrievalTask, location: DataLocation) -> None:
    found = perturb_texts(task, case(0.0), "both", location)
    assert found.task is task
    assert found.changes[ALL].texts == 0


def distractors(strength: float, **settings: Any) -> PoolPerturbation:
    one = perturbation("distractors", Path(), strength, **settings)
    assert isinstance(one, PoolPerturbation)
    return one


EXTRA = {
    "en": ["the TOWER is in Paris", "A rock.", "a rock", "Lake and tower.", "Rain."],  # a candidate, and one twice
    "de": ["Ein Fels.", "Der See ist kalt!", "Regen."],
}


def test_passages_are_added_and_relevance_stays(task: RetrievalTask, location: DataLocation) -> None:
    extra = ExtraPool.of(task, task_of(location, EXTRA, "extra"))
    assert extra.texts == {"en": ["A rock.", "Lake and tower.", "Rain."], "de": ["Ein Fels.", "Regen."]}
    found = add_passages(task, distractors(0.5), extra, location)
    assert found.added == {ALL: 4, "en": 2, "de": 2}
    before, after = texts_of(task, "candidates"), texts_of(found.task, "candidates")
    assert after[:4] == PASSAGES["en"]
    assert after[6:10] == PASSAGES["de"]
    assert set(after[4:6]) < set(extra.texts["en"])
    assert set(after[10:]) == set(extra.texts["de"])
    assert language_offsets(found.task).tolist() == [0, 6, 12]
    assert [after[row] for row in found.task.relevant_candidates] == [before[row] for row in task.relevant_candidates]
    assert found.task.contrasts_QL is not None
    assert found.task.contrasts_QL.tolist() == [[2, -1]] * 4
    assert found.task.grades_P is task.grades_P
    assert found.task.fingerprint != task.fingerprint
    everything = add_passages(task, distractors(1.0), extra, location)
    assert everything.added == {ALL: 5, "en": 3, "de": 2}, "as many as there are"
    assert add_passages(task, distractors(0.1), extra, location).task is task, "0.4 of a passage is none"


def test_other_languages_are_not_added_and_an_empty_pool_is_refused(
    task: RetrievalTask, location: DataLocation
) -> None:
    only_english = replace(task_of(location, EXTRA, "extra"), languages=("en",))
    german = ExtraPool.of(replace(task, languages=("de",)), only_english)
    assert german.texts == {"de": ["Ein Fels.", "Regen."]}
    with pytest.raises(UserError, match="the pool has no passage to add") as caught:
        ExtraPool.of(task, task)
    assert "en, de" in str(caught.value.allowed)


def embed(texts: Any, languages: Any, are_questions: bool) -> NDArray[np.float32]:
    """Return counts of a few words: a model that can be followed by hand."""
    assert len(languages) == len(texts)
    del are_questions
    words = ("tower", "lake", "turm", "see", "fels")
    return np.array([[word in text.lower() for word in words] for text in texts], dtype=np.float32)


def test_the_hardest_passages_come_first(task: RetrievalTask, location: DataLocation) -> None:
    pool = task_of(location, {"en": ["Rain.", "Lake and tower.", "A tower."], "de": ["Regen.", "Der Turm."]}, "extra")
    extra = ExtraPool.of(task, pool).measured(task, embed)
    hard = add_passages(task, distractors(0.25, order="adversarial"), extra, location)
    after = texts_of(hard.task, "candidates")
    assert (after[4], after[9]) == ("Lake and tower.", "Der Turm.")
    assert distractors(1.0, order="adversarial").chosen(extra.texts["en"], "en", 4, extra.nearness["en"]) == [1, 2, 0]


def test_nearness_is_the_best_rank_for_any_question() -> None:
    random = np.random.default_rng(1)
    questions, passages = (random.normal(size=(rows, 8)).astype(np.float32) for rows in (600, 40))
    found = nearness_of(questions, passages)
    scores = questions @ passages.T
    ranks = (scores[:, None, :] > scores[:, :, None]).sum(axis=2) + 1
    assert found.rank_E.tolist() == ranks.min(axis=0).tolist()
    np.testing.assert_allclose(found.score_E, scores.max(axis=0), rtol=1e-5)
