"""Code-switching of training text: what is drawn, and a vocabulary gap that nothing else bridges."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.made_languages import settings, word, write_dictionary, write_model, write_pairs
from tests.small_study import experiment
from tests.tiny_trial import run

from hybridbatch.foundation.errors import UserError
from hybridbatch.search.checks import check_study
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.arm import ArmContext
from hybridbatch.training.arms.code_switching import CodeSwitchingArm, SwitchedTexts
from hybridbatch.training.losses import Shard
from hybridbatch.training.workshop import Workshop

STEPS = 60
TEXT = " ".join(word("question", one, "en") for one in range(30))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """English pairs to learn from, pairs in another language to measure, a dictionary between them."""
    folder = tmp_path_factory.mktemp("code-switching")
    data = folder / "data"
    write_pairs(data / "train.csv", 300, ["en"], seed=1)
    write_pairs(data / "test.csv", 60, ["xx"], seed=2)
    write_dictionary(data / "dictionary.parquet", ["xx", "yy"])
    write_model(data / "model", ["en", "xx"])
    return Workshop(DataLocation(data, folder / "cache"))


def changes(arm: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    arm = arm if arm is None else {"dictionary": "dictionary.parquet", **arm}
    made = settings("model", ["en"], ["xx"], **{"batches.mix": {"english": 1.0}, "arms.code-switching": arm, **more})
    return {**made, "training": {"steps": STEPS, "learning_rate": 0.01, "evaluate_every": STEPS}}


def texts(workshop: Workshop, **arm: Any) -> SwitchedTexts:
    context = ArmContext(experiment(changes(arm)), workshop, Shard(), "cpu")
    return CodeSwitchingArm(dictionary="dictionary.parquet", **arm).text_change(context)


def languages_of(text: str) -> set[str]:
    return {one[:2] for one in text.split()}


def test_code_switching_bridges_a_vocabulary_gap(workshop: Workshop, tmp_path: Path):
    reached = {
        name: run(workshop, tmp_path / name, changes(arm)).rungs[-1].summary["map_mono"]
        for name, arm in {"with": {"languages": ["xx"]}, "without": None}.items()
    }
    assert reached["with"] > 0.8
    assert reached["without"] < 0.2, "chance is 0.08"


def test_each_visit_and_each_side_draws_anew_and_is_the_same_again(workshop: Workshop):
    switched = texts(workshop)
    drawn = [switched.changed(TEXT, "en", role, step) for role in ("questions", "passages") for step in range(3)]
    assert len(set(drawn)) == 6
    assert drawn == [
        texts(workshop).changed(TEXT, "en", role, step) for role in ("questions", "passages") for step in range(3)
    ]


def test_the_probability_is_the_share_of_words_and_languages_are_those_asked_for(workshop: Workshop):
    share = [
        sum(one[:2] != "en" for step in range(40) for one in switched.changed(TEXT, "en", "questions", step).split())
        / (40 * 30)
        for switched in (
            texts(workshop, probability=0.0),
            texts(workshop, probability=0.25),
            texts(workshop, probability=1.0),
        )
    ]
    assert share == [0, pytest.approx(0.25, abs=0.05), 1]
    assert languages_of(texts(workshop, probability=1.0).changed(TEXT, "en", "questions", 0)) == {"xx", "yy"}
    one_a_side = texts(workshop, probability=1.0, languages=("xx",), passage_languages=("yy",))
    assert languages_of(one_a_side.changed(TEXT, "en", "questions", 0)) == {"xx"}
    assert languages_of(one_a_side.changed(TEXT, "en", "passages", 0)) == {"yy"}


@pytest.mark.parametrize("side", ["questions", "passages"])
def test_one_side_alone_can_be_switched(workshop: Workshop, side: str):
    switched = texts(workshop, sides=side)
    changed = {role: switched.changed(TEXT, "en", role, 0) != TEXT for role in ("questions", "passages")}
    assert changed == {role: role == side for role in changed}


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        ({"dictionary": "none.parquet"}, r"arms\.code-switching\.dictionary: there is no dictionary here"),
        ({"languages": ["xy"]}, r"arms\.code-switching\.languages: language not in the dictionary(.|\n)*en, xx, yy"),
        ({"passage_languages": ["xy"]}, r"arms\.code-switching\.languages: language not in the dictionary"),
        ({"sources": ["maid"]}, r"arms\.code-switching\.sources: source not in the dictionary(.|\n)*made"),
        ({"languages": ["en"]}, r"arms\.code-switching\.languages: no word of the training questions has a trans"),
    ],
)
def test_plan_refuses_what_cannot_be_looked_up(workshop: Workshop, arm: dict[str, Any], said: str):
    with pytest.raises(UserError, match=said):
        check_study(experiment(changes(arm)), workshop.location)


def test_plan_looks_at_the_values_that_are_searched(workshop: Workshop):
    space = {"arms.code-switching.dictionary": {"choice": ["dictionary.parquet", "none.parquet"]}}
    with pytest.raises(UserError, match=r"with arms\.code-switching\.dictionary none\.parquet") as told:
        check_study(experiment(changes({}, **{"search.space": space})), workshop.location)
    assert re.search(r"-> arms\.code-switching\.dictionary", str(told.value))
