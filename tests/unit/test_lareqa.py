"""XQuAD-R and MLQA-R from their original JSON."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.lareqa import MlqaR, XquadR
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation


def paragraph(*sentences: str, questions: list[tuple[str, str, int]]) -> dict[str, Any]:
    """Return a paragraph of ``sentences`` joined by spaces; a question is an id, a text and the start of its answer."""
    breaks, start = [], 0
    for sentence in sentences:
        breaks.append([start, start + len(sentence)])
        start += len(sentence) + 1
    return {
        "context": " ".join(sentences),
        "sentences": list(sentences),
        "sentence_breaks": breaks,
        "qas": [
            {"id": identity, "question": text, "answers": [{"text": "?", "answer_start": at}]}
            for identity, text, at in questions
        ],
    }


def lareqa(*paragraphs: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": list(paragraphs)}]}


# "Same." stands twice in each language: candidates with equal texts are kept.
ENGLISH = lareqa(
    paragraph("Ann has a cat.", "Same.", questions=[("q1", "What has Ann?", 8), ("q2", "Same?", 15)]),
    paragraph("Bob runs.", "Same.", questions=[("q3", "Who runs?", 0)]),
)
GERMAN = lareqa(paragraph("Same.", "Ann hat eine Katze.", questions=[("q1", "Was hat Ann?", 14)]))


@pytest.fixture
def location(tmp_path: Path) -> DataLocation:
    folder = tmp_path / "eval/lareqa/xquad-r"
    folder.mkdir(parents=True)
    for language, content in (("en", ENGLISH), ("de", GERMAN)):
        (folder / f"{language}.json").write_text(json.dumps(content), encoding="utf-8")
    return DataLocation(root=tmp_path, cache=tmp_path / "cache")


def relevant(task: RetrievalTask, question: int) -> list[int]:
    rows = task.relevant_candidates[task.relevant_offsets[question] : task.relevant_offsets[question + 1]]
    return [int(row) for row in rows]


def test_a_question_is_answered_by_the_sentence_that_holds_the_answer(location: DataLocation) -> None:
    task = XquadR(languages=("en", "de")).task(location)
    assert column_of(task.candidates, "text").to_pylist() == [
        "Ann has a cat.",
        "Same.",
        "Bob runs.",
        "Same.",
        "Same.",
        "Ann hat eine Katze.",
    ]
    assert column_of(task.candidates, "language").to_pylist() == ["en"] * 4 + ["de"] * 2
    assert column_of(task.questions, "item").to_pylist() == ["q1", "q2", "q3", "q1"]
    assert column_of(task.questions, "text").to_pylist() == ["What has Ann?", "Same?", "Who runs?", "Was hat Ann?"]
    # q1 is answered in both languages, q2 and q3 have no German answer
    assert [relevant(task, question) for question in range(4)] == [[0, 5], [1], [2], [0, 5]]


def test_order_of_languages_is_the_order_of_the_candidates(location: DataLocation) -> None:
    task = XquadR(languages=("de", "en")).task(location)
    assert task.languages == ("de", "en")
    assert [relevant(task, question) for question in range(4)] == [[1, 2], [1, 2], [3], [4]]
    assert task.fingerprint != XquadR(languages=("en", "de")).task(location).fingerprint
    assert task.fingerprint == XquadR(languages=("de", "en")).task(location).fingerprint


def test_folder_may_lie_elsewhere(location: DataLocation) -> None:
    elsewhere = location.root / "copy"
    (location.root / "eval/lareqa/xquad-r").rename(elsewhere)
    relative = XquadR(languages=("en",), folder="copy").task(location)
    absolute = XquadR(languages=("en",), folder=str(elsewhere)).task(location)
    assert relative.fingerprint == absolute.fingerprint
    with pytest.raises(UserError, match="the data is missing") as caught:
        XquadR(languages=("en",)).task(location)
    assert "HYBRIDBATCH_DATA" in str(caught.value)
    (elsewhere / "de.json").unlink()
    with pytest.raises(UserError, match=r"no de\.json, hi\.json"):
        XquadR(languages=("en", "de", "hi"), folder="copy").task(location)


Damage = Callable[[dict[str, Any]], object]
FIRST = "data.0.paragraphs.0"


@pytest.mark.parametrize(
    ("damage", "path", "message"),
    [
        (lambda p: p["qas"][1].pop("question"), f"{FIRST}.qas.1.question", "Field required"),
        (lambda p: p["qas"][1].update(id=7), f"{FIRST}.qas.1.id", "valid string"),
        (
            lambda p: p["qas"][0]["answers"][0].update(answer_start="8"),
            f"{FIRST}.qas.0.answers.0.answer_start",
            "integ",
        ),
        (lambda p: p["qas"][0].update(answers=[]), f"{FIRST}.qas.0.answers", "at least 1 item"),
        (lambda p: p["sentence_breaks"].pop(), FIRST, "differ in number"),
        (lambda p: p.pop("sentences"), f"{FIRST}.sentences", "Field required"),
        (lambda p: p["sentence_breaks"].__setitem__(0, [0]), f"{FIRST}.sentence_breaks.0.1", "Field required"),
        (
            lambda p: p["sentence_breaks"].__setitem__(0, [9, 14]),
            f"{FIRST}.qas.0.answers.0.answer_start",
            "no sentence",
        ),
        (lambda p: p["qas"][0]["answers"][0].update(answer_start=14), f"{FIRST}.qas.0.answers.0", "no sentence"),
        (lambda p: p["qas"][1].update(id="q1"), f"{FIRST}.qas.1.id", "twice"),
    ],
)
def test_malformed_content_is_named_by_file_and_path(
    location: DataLocation, damage: Damage, path: str, message: str
) -> None:
    content = copy.deepcopy(ENGLISH)
    damage(content["data"][0]["paragraphs"][0])
    file = location.root / "eval/lareqa/xquad-r/en.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        XquadR(languages=("de", "en")).task(location)
    assert caught.value.file == file
    assert str(caught.value.path).startswith(path)
    assert caught.value.seen is not None
    assert caught.value.allowed


@pytest.mark.parametrize("content", [b"", b'{"data": [', b'{"data": "\xff"}', rb'{"data": [{"paragraphs": "\ud83d"}]}'])
def test_broken_json_is_named_by_file(location: DataLocation, content: bytes) -> None:
    file = location.root / "eval/lareqa/xquad-r/en.json"
    file.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(str(file)) + ".*not valid JSON"):
        XquadR(languages=("en",)).task(location)


@pytest.mark.parametrize(
    ("settings", "languages", "questions", "candidates"), [(XquadR(), 11, 13_090, 13_014), (MlqaR(), 7, 4_199, 20_534)]
)
def test_the_complete_data_sets_have_their_known_sizes(
    data_root: Path, tmp_path: Path, settings: XquadR | MlqaR, languages: int, questions: int, candidates: int
) -> None:
    task = settings.task(DataLocation(root=data_root, cache=tmp_path))
    assert (len(task.languages), len(task.questions), len(task.candidates)) == (languages, questions, candidates)
    items = column_of(task.questions, "item").to_pylist()
    per_item = {item: items.count(item) for item in set(items[:200])}
    for question in range(200):
        assert len(relevant(task, question)) == per_item[items[question]]
    assert len(task.relevant_candidates) == task.relevant_offsets[-1] >= questions
    texts = column_of(task.candidates, "text").to_pylist()
    assert len(set(texts)) < len(texts)
