"""What every registered data set must do; a new one is tested without a line added here if it needs no files.

One that reads files writes a small sample of its public format in :data:`SAMPLES`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import DATASETS
from hybridbatch.spec.sources import DataLocation, SourceSettings

SAMPLE_LANGUAGES = ("en", "de")


def lareqa_sample(folder: Path) -> dict[str, Any]:
    for language in SAMPLE_LANGUAGES:
        question = {"id": "q", "question": f"Who? ({language})", "answers": [{"text": "B", "answer_start": 3}]}
        paragraph = {
            "context": "A. B.",
            "sentences": ["A.", "B."],
            "sentence_breaks": [[0, 2], [3, 5]],
            "qas": [question],
        }
        content = {"version": "1", "data": [{"title": "T", "paragraphs": [paragraph]}]}
        (folder / f"{language}.json").write_text(json.dumps(content), encoding="utf-8")
    return {"folder": str(folder), "languages": SAMPLE_LANGUAGES}


def pairs_sample(folder: Path) -> dict[str, Any]:
    file = folder / "pairs.jsonl"
    rows = [
        {"item": item, "language": language, "query": f"{item}? ({language})", "passage": f"{item}. ({language})"}
        for item in "abc"
        for language in SAMPLE_LANGUAGES
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return {"path": str(file)}


def xcopa_sample(folder: Path) -> dict[str, Any]:
    for language in ("et", "qu"):
        record = {"premise": f"It rained. ({language})", "choice1": f"I got wet. ({language})", "choice2": "I flew."}
        lines = [json.dumps(record | {"question": "effect", "label": idx % 2, "idx": idx}) for idx in range(3)]
        (folder / "data" / language).mkdir(parents=True)
        (folder / "data" / language / f"test.{language}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return {"folder": str(folder), "languages": ("et", "qu")}


def xnli_sample(folder: Path) -> dict[str, Any]:
    for language in SAMPLE_LANGUAGES:
        rows = {
            "premise": [f"{premise} ({language})" for premise in "aaabbb"],
            "hypothesis": [f"{row} ({language})" for row in range(6)],
            "label": [0, 1, 2, 2, 1, 0],
        }
        (folder / language).mkdir()
        pq.write_table(pa.table(rows), folder / language / "test-00000-of-00001.parquet")
    return {"folder": str(folder), "languages": SAMPLE_LANGUAGES}


def squad_shifts_sample(folder: Path) -> dict[str, Any]:
    questions = [{"id": f"q{n}", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 4}]} for n in range(2)]
    article = {"title": "T", "paragraphs": [{"context": "It: Ann.\n", "qas": questions}]}
    (folder / "nyt_v1.0.json").write_text(json.dumps({"version": "1.0", "data": [article]}), encoding="utf-8")
    return {"folder": str(folder), "domains": ["nyt"]}


def bitext_sample(folder: Path) -> dict[str, Any]:
    for language in SAMPLE_LANGUAGES:
        (folder / f"sample.de-en.{language}").write_text(f"one ({language})\ntwo ({language})\n", encoding="utf-8")
    return {"path": str(folder / "sample.de-en.{language}")}


def beir_sample(folder: Path) -> dict[str, Any]:
    (folder / "qrels").mkdir()
    documents = [{"_id": name, "title": name.upper(), "text": f"About {name}."} for name in ("d1", "d2", "d3")]
    questions = [{"_id": name, "text": f"What of {name}?", "metadata": {}} for name in ("q1", "q2", "q3")]
    for stem, rows in (("corpus", documents), ("queries", questions)):
        (folder / f"{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td3\t1\nq2\td2\t1\n", "utf-8")
    return {"folder": str(folder)}


def miracl_sample(folder: Path) -> dict[str, Any]:
    languages = ("sw", "yo")
    for language in languages:
        for kind, text in (("topics", "7\tNini? (%s)\n"), ("qrels", "7\tQ0\t12#0\t1\n7\tQ0\t12#1\t0\n")):
            file = folder / f"miracl-v1.0-{language}/{kind}/{kind}.miracl-v1.0-{language}-dev.tsv"
            file.parent.mkdir(parents=True)
            file.write_text(text.replace("%s", language), encoding="utf-8")
        corpus = folder / f"miracl-corpus-v1.0-{language}/docs-0.jsonl.gz"
        corpus.parent.mkdir()
        passages = [{"docid": f"12#{number}", "title": language, "text": f"Part {number}."} for number in range(2)]
        corpus.write_bytes(gzip.compress("".join(json.dumps(passage) + "\n" for passage in passages).encode()))
    return {"folder": str(folder), "languages": languages}


SAMPLES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "xquad-r": lareqa_sample,
    "mlqa-r": lareqa_sample,
    "parallel-pairs": pairs_sample,
    "xcopa": xcopa_sample,
    "xnli": xnli_sample,
    "squad-shifts": squad_shifts_sample,
    "bitext": bitext_sample,
    "beir": beir_sample,
    "miracl": miracl_sample,
}
MONOLINGUAL = ("beir", "squad-shifts")


class Sample:
    """A registered data set with settings that load here."""

    def __init__(self, name: str, folder: Path) -> None:
        self.languages = 1 if name in MONOLINGUAL else 2  # at least
        self.entry = DATASETS.get(name)
        self.location = DataLocation(root=folder / "root", cache=folder / "cache")
        self.values: dict[str, Any] = {"dataset": name}
        if name in SAMPLES:
            (folder / "sample").mkdir()
            self.values |= SAMPLES[name](folder / "sample")

    def settings(self, **changes: Any) -> SourceSettings:
        """Return the settings with changes, read as from an experiment file (JSON, so that lists stand for tuples)."""
        settings = self.entry.model_validate_json(json.dumps(self.values | changes))
        assert isinstance(settings, SourceSettings)
        return settings

    def loaded(self, **changes: Any) -> Iterator[ParallelPairs | RetrievalTask]:
        """Yield what the data set offers: pairs, a task or both."""
        settings = self.settings(**changes)
        for method in ("pairs", "task"):
            if getattr(type(settings), method) is not getattr(SourceSettings, method):
                yield getattr(settings, method)(self.location)


@pytest.fixture(params=sorted(DATASETS.entries()))
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    return Sample(request.param, tmp_path)


def test_declares_what_it_is(sample: Sample) -> None:
    assert issubclass(sample.entry, SourceSettings)
    for fact in ("description", "source", "licence", "citation"):
        assert isinstance(getattr(sample.entry, fact), str)
        assert getattr(sample.entry, fact)
    assert sample.entry.__doc__


def test_settings_are_frozen_and_strict(sample: Sample) -> None:
    settings = sample.settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.dataset = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        sample.settings(no_such_key=1)
    with pytest.raises(ValidationError, match="languages"):
        sample.settings(languages=[False])  # what YAML makes of a bare `no`
    with pytest.raises(ValidationError, match="dataset"):
        sample.settings(dataset="other")
    assert type(settings).model_validate_json(settings.model_dump_json()) == settings


def test_offers_pairs_or_a_task_and_refuses_the_other_readably(sample: Sample) -> None:
    assert list(sample.loaded())
    settings = sample.settings()
    for method in ("pairs", "task"):
        if getattr(type(settings), method) is getattr(SourceSettings, method):
            with pytest.raises(UserError, match="this data set has no"):
                getattr(settings, method)(sample.location)


def test_loading_twice_gives_the_same_memory_mapped_content(sample: Sample) -> None:
    for first, second in zip(sample.loaded(), sample.loaded(), strict=True):
        assert first.fingerprint == second.fingerprint
        assert first.name == second.name
        for loaded in (first, second):
            tables = [loaded.rows] if isinstance(loaded, ParallelPairs) else [loaded.questions, loaded.candidates]
            for table in tables:
                assert len(table)
                assert table.cache_files
                assert all(Path(file["filename"]).is_relative_to(sample.location.cache) for file in table.cache_files)


def test_fingerprint_follows_the_choice_of_languages(sample: Sample) -> None:
    for whole in sample.loaded():
        order = list(whole.languages)
        assert len(order) >= sample.languages
        alone = [] if isinstance(whole, RetrievalTask) and whole.is_bitext else [order[:1]]
        for chosen in (*alone, order[1::-1]):
            (part,) = [found for found in sample.loaded(languages=chosen) if type(found) is type(whole)]
            assert list(part.languages) == chosen
            assert part.fingerprint != whole.fingerprint or chosen == order
            tables = [part.rows] if isinstance(part, ParallelPairs) else [part.questions, part.candidates]
            for table in tables:
                assert set(column_of(table, "language").to_pylist()) == set(chosen)


def test_an_unknown_language_is_refused_with_those_it_has(sample: Sample) -> None:
    settings = sample.settings(languages=["xx"])
    for method in ("pairs", "task"):
        if getattr(type(settings), method) is not getattr(SourceSettings, method):
            with pytest.raises(UserError, match="language not in the data set") as caught:
                getattr(settings, method)(sample.location)
            assert caught.value.seen == "xx"
            assert all(set(found.languages) <= set(str(caught.value.allowed).split(", ")) for found in sample.loaded())


def test_pairs_point_to_rows_of_their_item_and_language(sample: Sample) -> None:
    for pairs in sample.loaded():
        if isinstance(pairs, ParallelPairs):
            items, languages, queries, passages = (
                column_of(pairs.rows, name).to_pylist() for name in ("item", "language", "query", "passage")
            )
            assert pairs.row_IL.shape == (len(set(items)), len(pairs.languages))
            assert sorted(pairs.row_IL[pairs.row_IL >= 0].tolist()) == list(range(len(items)))
            for rows in pairs.row_IL.tolist():
                assert len({items[row] for row in rows if row >= 0}) == 1
                for language, row in zip(pairs.languages, rows, strict=True):
                    assert row < 0 or languages[row] == language
            assert all(text.strip() for text in (*queries, *passages))


def test_labelled_pairs_are_parallel(sample: Sample) -> None:
    settings = sample.settings()
    if type(settings).labelled_pairs is SourceSettings.labelled_pairs:
        with pytest.raises(UserError, match="this data set has no labelled pairs"):
            settings.labelled_pairs(sample.location)
        return
    found = settings.labelled_pairs(sample.location)
    assert len(found.pairs) >= sample.languages
    first = next(iter(found.pairs.values()))
    for pairs in found.pairs.values():
        assert [(pair.item, pair.label) for pair in pairs] == [(pair.item, pair.label) for pair in first]
        assert all(pair.first.strip() and pair.second.strip() for pair in pairs)
    assert {pair.label for pair in first} == set(range(len(found.labels)))


def test_relevance_points_to_one_candidate_of_the_item_per_language(sample: Sample) -> None:
    for task in sample.loaded():
        if isinstance(task, RetrievalTask):
            items, languages, texts = (
                column_of(task.questions, name).to_pylist() for name in ("item", "language", "text")
            )
            candidate_languages = column_of(task.candidates, "language").to_pylist()
            numbers = [task.languages.index(language) for language in candidate_languages]
            assert numbers == sorted(numbers)
            assert task.relevant_offsets.shape == (len(items) + 1,)
            assert task.relevant_offsets[0] == 0
            assert task.relevant_offsets[-1] == len(task.relevant_candidates)
            assert len(set(zip(items, languages, strict=True))) == len(items)
            exists: dict[str, set[str]] = {}
            for item, language in zip(items, languages, strict=True):
                exists.setdefault(item, set()).add(language)
            shared: dict[str, list[int]] = {}
            for question, item in enumerate(items):
                rows = task.relevant_candidates[task.relevant_offsets[question] : task.relevant_offsets[question + 1]]
                assert (np.diff(rows) > 0).all()
                itself = {languages[question]} if task.is_bitext else set()  # a sentence is no answer to itself
                assert {candidate_languages[row] for row in rows} == exists[item] - itself
                assert task.is_bitext or shared.setdefault(item, rows.tolist()) == rows.tolist()
            assert all(text.strip() for text in texts)


def test_a_wrong_candidate_stands_against_the_one_right_one_in_its_language(sample: Sample) -> None:
    for task in sample.loaded():
        if isinstance(task, RetrievalTask) and task.contrasts_QL is not None:
            candidate_languages = column_of(task.candidates, "language").to_pylist()
            assert task.contrasts_QL.shape == (len(task.questions), len(task.languages))
            for question, wrong_L in enumerate(task.contrasts_QL.tolist()):
                right = task.relevant_candidates[task.relevant_offsets[question] : task.relevant_offsets[question + 1]]
                for language, wrong in zip(task.languages, wrong_L, strict=True):
                    assert candidate_languages[wrong] == language or wrong == -1
                    assert wrong not in right
                    assert wrong == -1 or [candidate_languages[row] for row in right].count(language) == 1
