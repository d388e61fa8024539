"""Examples of a layer probe: split by item, with passages that only differ in whether they answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybridbatch.datasets.memory_mapped import TaskColumns, store_task
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.probe_examples import PARTS, ProbeExamples, ProbeSettings, ProbeTask, probe_task
from hybridbatch.foundation.errors import UserError

LANGUAGES = ("de", "en", "es")
ITEMS = 150


def made_task(
    cache: Path, *, items: int = ITEMS, languages: Sequence[str] = LANGUAGES, shared: bool = False
) -> RetrievalTask:
    """Return a task of items with one question and passage a language; ``shared``: items 2n and 2n + 1 share a passage.

    Every third item lacks the last language. Each language has a passage that answers nothing.
    """
    columns = TaskColumns()
    rows: dict[int, list[int]] = {item: [] for item in range(items)}
    for language in languages:
        for item in range(items):
            if item % 3 == 2 and language == languages[-1] and len(languages) > 1:
                continue
            if not (shared and item % 2):
                columns.candidates.append(f"{language} passage about {item}")
                columns.candidate_languages.append(language)
            rows[item].append(len(columns.candidates) - 1)
            columns.items.append(f"item-{item}")
            columns.languages.append(language)
            columns.questions.append(f"{language} question about {item}?")
        columns.candidates.append(f"{language} passage that answers nothing")
        columns.candidate_languages.append(language)
    columns.relevant.extend(rows[int(item.removeprefix("item-"))] for item in columns.items)
    return store_task("made", languages, cache, columns)


def examples_of(task: ProbeTask) -> list[ProbeExamples]:
    return [examples for parts in task.examples.values() for examples in parts.values()]


def number_in(text: str) -> str:
    return text.rstrip("?").split()[-1]


def test_one_passage_answers_and_the_others_do_not(tmp_path: Path) -> None:
    task = probe_task(made_task(tmp_path), ProbeSettings(passages=4))
    for setting, parts in task.examples.items():
        for examples in parts.values():
            assert examples.passages_EN.shape == (len(examples), 4)
            for question, passages, right, cell in zip(
                examples.question_E, examples.passages_EN, examples.right_E, examples.cell_E, strict=True
            ):
                asked, shown = task.questions[question], [task.passages[one] for one in passages]
                assert [number_in(one) == number_in(asked) for one in shown] == [n == right for n in range(4)]
                assert len(set(shown)) == 4
                language, answered = task.cells[cell]
                assert asked.startswith(language)
                assert all(one.startswith(answered) for one in shown)
                assert (language == answered) == (setting == "mono")
    assert not any("nothing" in text for text in task.passages), "only passages that answer an item are shown"


def test_every_question_is_asked_of_every_language_that_answers_it(tmp_path: Path) -> None:
    task = probe_task(made_task(tmp_path), ProbeSettings())
    cells = Counter(task.cells[cell] for one in examples_of(task) for cell in one.cell_E.tolist())
    whole, short = ITEMS, ITEMS - ITEMS // 3
    assert cells == {
        (a, b): short if "es" in (a, b) else whole for a in LANGUAGES for b in LANGUAGES
    }  # fmt: skip
    assert sum(task.items.values()) == ITEMS
    assert (task.items["test"], task.items["validation"]) == (75, 15)


def test_no_item_and_no_passage_is_on_both_sides(tmp_path: Path) -> None:
    task = probe_task(made_task(tmp_path, shared=True), ProbeSettings(passages=3))
    items: dict[str, set[int]] = {part: set() for part in PARTS}
    texts: dict[str, set[str]] = {part: set() for part in PARTS}
    for parts in task.examples.values():
        for part, examples in parts.items():
            items[part] |= set(examples.item_E.tolist())
            texts[part] |= {task.passages[one] for one in examples.passages_EN.ravel()}
            texts[part] |= {task.questions[one] for one in examples.question_E}
    for one in PARTS:
        for other in PARTS:
            if one != other:
                assert not items[one] & items[other]
                assert not texts[one] & texts[other]
    for part in PARTS:  # those that share a passage are together
        assert {item ^ 1 for item in items[part]} == items[part]


def test_the_same_passages_are_shown_whatever_language_asks(tmp_path: Path) -> None:
    task = probe_task(made_task(tmp_path), ProbeSettings())
    shown: dict[Any, set[Any]] = {}
    for examples in examples_of(task):
        for item, cell, *what in zip(
            examples.item_E, examples.cell_E, map(tuple, examples.passages_EN.tolist()), examples.right_E.tolist(),
            examples.control_E.tolist(), strict=True,
        ):  # fmt: skip
            shown.setdefault((item, task.cells[cell][1]), set()).add(tuple(what))
    assert {len(one) for one in shown.values()} == {1}


def test_all_places_are_asked_for_equally_often(tmp_path: Path) -> None:
    task = probe_task(made_task(tmp_path, items=400, languages=("en",)), ProbeSettings(passages=4))
    assert set(task.examples) == {"mono"}
    parts = task.examples["mono"].values()
    for one in parts:
        for name in ("right_E", "control_E"):
            places = np.bincount(getattr(one, name), minlength=4)
            assert places.max() - places.min() <= 1, name
    together = sum(int((one.right_E == one.control_E).sum()) for one in parts)
    assert 70 < together < 130, "the control says nothing about the answer"


def test_others_may_be_in_any_language(tmp_path: Path) -> None:
    task = probe_task(made_task(tmp_path), ProbeSettings(negatives="any-language"))
    shown = Counter(
        task.passages[one].split()[0]
        for examples in examples_of(task)
        for row, right in zip(examples.passages_EN, examples.right_E, strict=True)
        for place, one in enumerate(row)
        if place != right
    )
    assert set(shown) == set(LANGUAGES)
    assert min(shown.values()) > sum(shown.values()) / 6


def test_the_seed_draws_and_nothing_else_does(tmp_path: Path) -> None:
    source = made_task(tmp_path)

    def drawn(**settings: Any) -> list[list[Any]]:
        task = probe_task(source, ProbeSettings(**settings))
        return [[getattr(one, name).tolist() for name in one.__dataclass_fields__] for one in examples_of(task)]

    assert drawn() == drawn()
    assert drawn() != drawn(seed=1)


def test_fewer_items_and_fewer_examples(tmp_path: Path) -> None:
    source = made_task(tmp_path)
    few = probe_task(source, ProbeSettings(passages=3, items=100))
    assert sum(few.items.values()) == 100
    capped = probe_task(source, ProbeSettings(training_examples=7))
    whole = probe_task(source, ProbeSettings())
    for setting, parts in capped.examples.items():
        assert len(parts["training"]) == len(parts["validation"]) == 7
        assert len(parts["test"]) == len(whole.examples[setting]["test"])


@pytest.mark.parametrize("settings", [{"passages": 17}, {"items": 30}, {"test_share": 0.9}])
def test_too_few_items_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"made: too few items for \d+ passages") as caught:
        probe_task(made_task(tmp_path), ProbeSettings(**settings))
    assert "part that share no text" in str(caught.value.seen)
    assert caught.value.remedy == "lower --passages, or give more items"
