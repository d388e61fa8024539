"""The leakage guard: report text in the training data."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridbatch.datasets.lareqa import MlqaR, XquadR
from hybridbatch.datasets.memory_mapped import TaskColumns, store_pairs, store_task
from hybridbatch.datasets.pairs_file import PairsFile
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.datasets.text_identity import LEAST_EVIDENCE, identity_keys, is_evidence, normalised
from hybridbatch.datasets.world_facts import WorldFacts
from hybridbatch.evaluation.contained_texts import WINDOW
from hybridbatch.evaluation.leakage import NOTHING_SHARED, Overlap, find_overlap, refuse_overlap
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation

SENTENCE = "The Panthers defense gave up just 308 points."


def pairs_of(cache: Path, queries: list[str], passages: list[str]) -> ParallelPairs:
    rows = range(len(queries))
    table = pa.table(
        {"item": [str(n) for n in rows], "language": ["en" for _ in rows], "query": queries, "passage": passages}
    )
    return store_pairs("train", ("en",), cache, table)


def task_of(cache: Path, questions: list[str], candidates: list[str]) -> RetrievalTask:
    columns = TaskColumns(
        items=[str(n) for n in range(len(questions))],
        languages=["en"] * len(questions),
        questions=questions,
        candidate_languages=["en"] * len(candidates),
        candidates=candidates,
        relevant=[[0]] * len(questions),
    )
    return store_task("report", ("en",), cache, columns)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Straße, 12", "STRASSE 12"),
        ("ﬁne—print…", "Fine Print"),
        ("  a\u00a0b\u200b c\n", "abc"),
        ("Ünïcode", "U\u0308ni\u0308code"),
        ("\uff11\uff12 \uff21\uff22", "12ab"),
    ],
)
def test_normalised_texts_are_equal(left: str, right: str) -> None:
    assert normalised(left) == normalised(right)
    assert identity_keys([left])[0] == identity_keys([right])[0] != 0


def test_normalisation_keeps_what_makes_words_differ() -> None:
    assert normalised("किताब") != normalised("कतब")  # vowel signs
    assert normalised("ที่") != normalised("ที")  # tone mark
    assert normalised("1.5") == "15"


@given(st.text())
def test_normalisation_is_idempotent(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_wide_characters_count_twice() -> None:
    assert is_evidence("x" * LEAST_EVIDENCE, LEAST_EVIDENCE)
    assert not is_evidence("x" * (LEAST_EVIDENCE - 1), LEAST_EVIDENCE)
    assert is_evidence("中" * (LEAST_EVIDENCE // 2), LEAST_EVIDENCE)
    assert not is_evidence("中" * (LEAST_EVIDENCE // 2 - 1), LEAST_EVIDENCE)
    assert not is_evidence("", LEAST_EVIDENCE)


@pytest.mark.parametrize("side", ["query", "passage"])
@pytest.mark.parametrize("target", ["question", "candidate"])
@pytest.mark.parametrize("inside", [False, True])
def test_equal_texts_and_sentences_of_a_text_are_found(tmp_path: Path, side: str, target: str, inside: bool) -> None:
    copy = SENTENCE.upper().replace(" ", "  -  ")
    copy = f"Before it. {copy} And after." if inside else copy
    texts = {"query": ["Some other query here", "x"], "passage": ["Some other passage here", "y"]}
    texts[side][1] = copy
    wanted = {"question": ["Which question is this one?"], "candidate": ["A sentence that stands nowhere else."]}
    wanted[target].append(SENTENCE)
    found = find_overlap(
        [pairs_of(tmp_path, texts["query"], texts["passage"])],
        [task_of(tmp_path, wanted["question"], wanted["candidate"])],
    )
    assert found == [Overlap("train", "report", side, 1, (SENTENCE,))]  # type: ignore[arg-type]


def test_short_texts_are_no_evidence(tmp_path: Path) -> None:
    assert LEAST_EVIDENCE < WINDOW
    between = "x" * (WINDOW - 1)  # long enough to be compared as a whole, too short to be looked for inside
    train = pairs_of(tmp_path, ["Introduction", between], ["Introduction to all of it", f"More. {between}. Text."])
    assert find_overlap([train], [task_of(tmp_path, ["Introduction"], ["Yes."])]) == []
    found = find_overlap([train], [task_of(tmp_path, ["Introduction"], [between])])
    assert [(overlap.kind, overlap.count) for overlap in found] == [("query", 1)]


def test_counts_are_of_distinct_report_texts_and_examples_few(tmp_path: Path) -> None:
    sentences = [f"This is sentence number {number} of the report set." for number in range(5)]
    report = task_of(tmp_path, ["A question that is not in there?"], [*sentences, sentences[0].upper()])
    train = pairs_of(tmp_path, ["q"] * 2, [" ".join(sentences), sentences[4]])
    (found,) = find_overlap([train], [report])
    assert (found.kind, found.count, found.examples) == ("passage", 5, tuple(sentences[:3]))
    assert found.statement() == "5 texts of report stand in passages of train after normalisation"


def test_part_of_a_sentence_is_no_copy(tmp_path: Path) -> None:
    question = "Samoa: which official language has the most speakers?"
    report = task_of(tmp_path, [question], ["A candidate that stands nowhere else."])
    assert find_overlap([pairs_of(tmp_path, [f"American {question}"], ["passage"])], [report]) == []
    assert find_overlap([pairs_of(tmp_path, [f"Pago Pago! {question} Well"], ["passage"])], [report]) != []


LETTERS = "ab中."


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    train=st.lists(st.text(LETTERS, max_size=90), min_size=1, max_size=6),
    report=st.lists(st.text(LETTERS, min_size=1, max_size=40), min_size=1, max_size=6),
    cuts=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(1, 6)), max_size=4),
)
def test_search_by_hash_finds_what_a_plain_search_finds(
    tmp_path: Path, train: list[str], report: list[str], cuts: list[tuple[int, int, int]]
) -> None:
    for number, at, size in cuts:
        report = [*report, ".".join(train[number % len(train)].split(".")[at : at + size]) or "none"]
    wanted = {normalised(text): text for text in reversed(report) if is_evidence(normalised(text), LEAST_EVIDENCE)}
    expected = set()
    for text in wanted:
        for sentences in ([normalised(part) for part in longer.split(".")] for longer in train):
            parts = {"".join(sentences[i:j]) for i in range(len(sentences)) for j in range(i, len(sentences) + 1)}
            if text == "".join(sentences) or (len(text) >= WINDOW and text in parts):
                expected.add(text)
    found = find_overlap([pairs_of(tmp_path, ["query"] * len(train), train)], [task_of(tmp_path, ["question"], report)])
    assert sum(overlap.count for overlap in found) == len(expected)
    assert {example for overlap in found for example in overlap.examples} <= {wanted[text] for text in expected}


def test_an_overlap_is_refused_unless_a_reason_is_given() -> None:
    overlaps = [
        Overlap("docs", "xquad-r", "passage", 3, ("One.", "Two.", "Three.")),
        Overlap("docs", "mlqa-r", "query", 1, ("Four?",)),
    ]
    with pytest.raises(UserError, match=r"3 texts of xquad-r stand in passages of docs") as caught:
        refuse_overlap(overlaps, None)
    assert "1 text of mlqa-r stands in queries of docs" in str(caught.value)
    assert "allow_overlap" in str(caught.value.remedy)
    assert caught.value.seen == "One."
    assert refuse_overlap(overlaps, "the same articles on purpose") == (
        "3 texts of xquad-r stand in passages of docs after normalisation",
        "1 text of mlqa-r stands in queries of docs after normalisation",
        "allowed because: the same articles on purpose",
    )
    assert refuse_overlap([], None) == refuse_overlap([], "not needed") == (NOTHING_SHARED,)


def test_world_facts_does_not_leak_into_its_own_splits(tmp_path: Path) -> None:
    location = DataLocation(root=tmp_path, cache=tmp_path)
    report = [WorldFacts(split="dev").task(location), WorldFacts(split="test").task(location)]
    assert find_overlap([WorldFacts(split="train").pairs(location)], report) == []
    assert find_overlap([WorldFacts(split="test").pairs(location)], report[1:]) != []


def test_shared_training_files_hold_no_text_of_the_report_sets(data_root: Path, tmp_path: Path) -> None:
    location = DataLocation(root=data_root, cache=tmp_path)
    train = [
        PairsFile(path=f"train/{name}.parquet", empty="skip").pairs(location)
        for name in ("docs_parallel", "squad_dev_parallel")
    ]
    assert find_overlap(train, [XquadR().task(location), MlqaR().task(location)]) == []
