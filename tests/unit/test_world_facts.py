"""world-facts: its wordings, its splits, its parallel rows."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from pydantic import ValidationError

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.datasets.text_identity import normalised
from hybridbatch.datasets.world_facts import WorldFacts
from hybridbatch.datasets.world_facts_relations import RELATIONS, facts, splits
from hybridbatch.datasets.world_facts_text import LANGUAGES, templates
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation

XQUAD_R = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
SPLITS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> DataLocation:
    folder = tmp_path_factory.mktemp("world-facts")
    return DataLocation(root=folder / "no-data", cache=folder / "cache")


@pytest.fixture(scope="module")
def split_pairs(location: DataLocation) -> dict[str, ParallelPairs]:
    return {split: WorldFacts.model_validate({"split": split}).pairs(location) for split in SPLITS}


def column(pairs: ParallelPairs, name: str) -> list[str]:
    return list(column_of(pairs.rows, name).to_pylist())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_relation_has_two_distinct_wordings_in_every_language(language: str) -> None:
    assert LANGUAGES == XQUAD_R
    wordings = templates(language)
    assert set(wordings) == set(RELATIONS)
    questions = [form for wording in wordings.values() for form in wording.questions]
    passages = [form for wording in wordings.values() for form in wording.passages]
    for wording in wordings.values():
        assert len(wording.questions) >= 2
        assert len(wording.passages) >= 2
    for form in questions:
        assert (form.count("{t}"), form.count("{a}")) == (1, 0), form
    for form in passages:
        assert (form.count("{t}"), form.count("{a}")) == (1, 1), form
    forms = [normalised(form) for form in (*questions, *passages)]
    assert len(set(forms)) == len(forms)


def test_sizes_serve_the_quickstart(split_pairs: dict[str, ParallelPairs]) -> None:
    items = {split: len(pairs.row_IL) for split, pairs in split_pairs.items()}
    assert items["train"] >= 1000
    assert 150 <= items["dev"] <= 250
    assert 250 <= items["test"] <= 350
    assert len(RELATIONS) >= 6
    for pairs in split_pairs.values():
        assert pairs.languages == XQUAD_R
        assert (pairs.row_IL >= 0).mean() > 0.95


def test_splits_are_disjoint_and_their_territories_are_in_train(split_pairs: dict[str, ParallelPairs]) -> None:
    items = {split: set(column(pairs, "item")) for split, pairs in split_pairs.items()}
    assert sum(map(len, items.values())) == len(set().union(*items.values())) == len(facts()) == len(splits())
    trained = defaultdict(set)  # language -> territories with a training passage in it
    train = split_pairs["train"]
    for item, language in zip(column(train, "item"), column(train, "language"), strict=True):
        trained[language].add(item.split(":")[1])
    for split in ("dev", "test"):
        held_out = split_pairs[split]
        for item, language in zip(column(held_out, "item"), column(held_out, "language"), strict=True):
            assert item.split(":")[1] in trained[language], (item, language)


def test_relations_are_spread_over_the_splits(split_pairs: dict[str, ParallelPairs]) -> None:
    for pairs in split_pairs.values():
        assert {item.split(":")[0] for item in column(pairs, "item")} == set(RELATIONS)


def test_no_two_items_share_a_question_or_a_passage_in_a_language(split_pairs: dict[str, ParallelPairs]) -> None:
    for kind in ("query", "passage"):
        texts = Counter(
            (language, normalised(text))
            for pairs in split_pairs.values()
            for language, text in zip(column(pairs, "language"), column(pairs, kind), strict=True)
        )
        assert [text for text, count in texts.items() if count > 1] == []


@pytest.mark.parametrize(
    ("item", "language", "territory", "answer"),
    [
        ("currency:JP", "en", "Japan", "Japanese Yen"),
        ("currency_code:CH", "de", "Schweiz", "CHF"),
        ("former_currency:DE", "es", "Alemania", "marco alemán"),
        ("official_language:BR", "ru", "Бразилия", "португальский"),
        ("time_zone:KR", "zh", "韩国", "首尔"),
        ("alpha2_code:GR", "el", "Ελλάδα", "GR"),
        ("numeric_code:TR", "tr", "Türkiye", "792"),
        ("currency_code:BT", "en", "Bhutan", "BTN"),  # also pays in rupees: its own currency goes first
    ],
)
def test_known_facts(
    split_pairs: dict[str, ParallelPairs], item: str, language: str, territory: str, answer: str
) -> None:
    rows = [
        row
        for pairs in split_pairs.values()
        for row in zip(*(column(pairs, name) for name in ("item", "language", "query", "passage")), strict=True)
        if row[:2] == (item, language)
    ]
    ((_, _, query, passage),) = rows
    assert territory in query
    assert territory in passage
    assert answer in passage
    assert answer not in query


def test_items_without_a_name_in_a_language_exist_in_the_others(split_pairs: dict[str, ParallelPairs]) -> None:
    missing = dict.fromkeys(XQUAD_R, 0)
    for pairs in split_pairs.values():
        for rows in pairs.row_IL:
            assert (rows >= 0).any()
            for language, row in zip(pairs.languages, rows, strict=True):
                missing[language] += row < 0
    assert missing["en"] == 0
    assert missing["hi"] > 0  # CLDR has no Hindi names of many former currencies


def test_task_has_one_relevant_passage_per_language(location: DataLocation) -> None:
    task = WorldFacts(split="test", languages=("en", "hi", "zh")).task(location)
    assert task.name == "world-facts-test"
    languages, texts = (column_of(task.candidates, name).to_pylist() for name in ("language", "text"))
    assert languages == sorted(languages, key=("en", "hi", "zh").index)
    items = column_of(task.questions, "item").to_pylist()
    exists_in = defaultdict(set)
    for item, language in zip(items, column_of(task.questions, "language").to_pylist(), strict=True):
        exists_in[item].add(language)
    for question, item in enumerate(items):
        rows = task.relevant_candidates[task.relevant_offsets[question] : task.relevant_offsets[question + 1]]
        assert [languages[row] for row in rows] == [code for code in ("en", "hi", "zh") if code in exists_in[item]]
    assert len(set(zip(languages, texts, strict=True))) == len(texts) == len(items)


def test_six_languages_give_a_pool_of_1500_candidates(location: DataLocation) -> None:
    task = WorldFacts(split="test", languages=("en", "de", "es", "ru", "ar", "zh")).task(location)
    assert len(task.candidates) >= 1500


def test_a_choice_of_relations_and_languages_keeps_the_splits(
    location: DataLocation, split_pairs: dict[str, ParallelPairs]
) -> None:
    chosen = WorldFacts(split="dev", relations=("time_zone", "currency"), languages=("zh",)).pairs(location)
    expected = {item for item in column(split_pairs["dev"], "item") if item.split(":")[0] in ("time_zone", "currency")}
    assert set(column(chosen, "item")) == expected
    assert set(column(chosen, "language")) == {"zh"}
    assert chosen.fingerprint != split_pairs["dev"].fingerprint


def test_mistakes_are_refused_with_what_is_allowed(location: DataLocation) -> None:
    with pytest.raises(UserError, match=r"seen: +'fr'\n +allowed: ar, de, el"):
        WorldFacts(languages=("en", "fr")).pairs(location)
    with pytest.raises(ValidationError, match="unknown relation capital; allowed: alpha2_code, currency"):
        WorldFacts(relations=("capital",))
    with pytest.raises(ValidationError, match="'train', 'dev' or 'test'"):
        WorldFacts.model_validate({"split": "validation"})
