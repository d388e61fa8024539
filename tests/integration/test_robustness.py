"""``hybridbatch robustness`` from its arguments to tables, JSON, CSV, scores and the page; and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.command_line import CommandLine, Outcome
from tests.perturbation_samples import dictionary

from hybridbatch.backbones.backbone import TrainingText
from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.evaluation import text_embeddings
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.measured_task import measured_task
from hybridbatch.foundation.registries import BACKBONES

pytestmark = pytest.mark.usefixtures("one_torch_thread")

DATA = ("-d", "world-facts", "--set", "split=test", "--set", "languages=[en, de, zh]", "--set", "relations=[currency]")
POOL = "distractors.pool={dataset: world-facts, split: dev, languages: [en, de, zh]}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a few kilobytes: random weights tell texts apart by the pieces that they share."""
    root = tmp_path_factory.mktemp("model")
    small = {"layers": 1, "width": 32, "heads": 2, "feed_forward": 32, "vocabulary": 600}
    settings = BACKBONES.get("scratch")(kind="scratch", **small)
    texts = ["Which currency is used in the country of Japan? Welche Währung? 货币"] * 3
    tokenizer = settings.tokenizer(TrainingText("texts", lambda: texts, root / "cache"))
    torch.manual_seed(1)
    save_encoder(settings.encoder(tokenizer), tokenizer, {"question_prefix": "", "passage_prefix": ""}, root / "tiny")
    return root / "tiny"


class Robustness:
    """Runs the command on the model with a home of its own."""

    def __init__(self, command_line: CommandLine, model: Path, home: Path) -> None:
        self.line, self.model, self.home = command_line, model, home

    def __call__(self, *arguments: object, models: tuple[object, ...] = ()) -> Outcome:
        return self.line("robustness", *(models or (self.model,)), *DATA, *arguments, "--home", self.home)


@pytest.fixture
def robustness(command_line: CommandLine, model: Path, tmp_path: Path) -> Robustness:
    return Robustness(command_line, model, tmp_path / "home")


def test_measures_against_strength(robustness: Robustness, command_line: CommandLine, tmp_path: Path) -> None:
    done = robustness("-p", "typos", "-p", "distractors", "--perturb-set", POOL, "--strength", "0.4,0.1", "--json",
                      "--scores", tmp_path / "scores", "-m", "map_mono", "-m", "recall1_cross")  # fmt: skip
    assert done.code == 0, done.err
    table = done.json
    assert set(table) == {
        "dataset", "questions", "candidates", "languages", "side", "strengths", "seeds", "measures", "models",
        "perturbations", "points", "unaffected", "examples", "leakage",
    }  # fmt: skip
    assert (table["strengths"], table["seeds"], table["side"]) == ([0, 0.1, 0.4], [0], "questions")
    assert (table["measures"], table["languages"]) == (["map_mono", "recall1_cross"], ["en", "de", "zh"])
    assert table["unaffected"] == {"typos": ["zh"], "distractors": []}
    assert table["perturbations"]["typos"] == {"kinds": ["insert", "delete", "substitute", "transpose"]}
    found = [(point["perturbation"], point["strength"]) for point in table["points"]]
    assert found == [(None, 0), ("typos", 0.1), ("typos", 0.4), ("distractors", 0.1), ("distractors", 0.4)]
    bare, little, much, few, many = table["points"]
    plain = command_line("evaluate", robustness.model, *DATA, "--home", robustness.home, "--json").json
    for name, level in bare["measures"].items():
        assert level == {"value": pytest.approx(plain[name], abs=1e-6), "drop": 0, "deviation": None}, name
    for point in (little, much, few, many):
        for name, level in point["measures"].items():
            assert level["drop"] == pytest.approx(level["value"] - bare["measures"][name]["value"]), name
    assert 0 < little["changed"]["*"]["characters"] < much["changed"]["*"]["characters"]
    assert much["measures"]["map_mono"]["value"] < bare["measures"]["map_mono"]["value"]
    assert much["languages"]["zh"]["map_mono"]["drop"] == 0
    mono = [of_language["map_mono"]["value"] for of_language in much["languages"].values()]
    assert much["measures"]["map_mono"]["value"] == pytest.approx(sum(mono) / 3)
    assert 0 < few["added"]["*"] < many["added"]["*"] == sum(many["added"][one] for one in ("en", "de", "zh"))
    assert many["measures"]["map_mono"]["value"] <= few["measures"]["map_mono"]["value"]
    assert set(table["examples"]["typos"]) == {"en", "de"}
    files = {file.name for file in (tmp_path / "scores" / "tiny").iterdir()}
    assert {"unperturbed.parquet", "typos-0.1-seed0.parquet"} < files
    assert len(files) == 5
    clean, typos, pool = (
        measured_task(pq.read_schema(tmp_path / f"scores/tiny/{name}.parquet"))
        for name in ("unperturbed", "typos-0.4-seed0", "distractors-0.4-seed0")
    )
    assert clean is not None
    assert clean.perturbation is None
    assert typos == replace(clean, perturbation="typos 0.4 of questions, seed 0")
    assert pool == replace(clean, perturbation="distractors 0.4, seed 0")
    scores = pq.read_table(tmp_path / "scores/tiny/typos-0.4-seed0.parquet")
    assert scores.num_rows == pq.read_table(tmp_path / "scores/tiny/unperturbed.parquet").num_rows


def test_documented_keys_are_the_keys(robustness: Robustness) -> None:
    from hybridbatch.report import robustness as module

    table = robustness("-p", "case", "--strength", "1", "--json").json
    for name in (*table, *table["points"][0], *table["points"][1]["measures"]["map_mono"]):
        assert f"``{name}``" in str(module.__doc__), name


def test_several_models_and_seeds(robustness: Robustness, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = (f"a={model}", f"b={model}")
    options = ("-p", "swapped-words", "--strength", "0.5", "--seeds", 3, "--seed", 4, "--side", "both")
    rows = list(csv.DictReader(io.StringIO(robustness(*options, "--csv", models=models).out)))
    assert len(rows) == 2 * (1 + 3) * 4, "two models, three seeds and none, three languages and all"
    assert {row["seed"] for row in rows} == {"", "4", "5", "6"}
    assert {row["side"] for row in rows} == {"", "both"}
    values = [float(row["map_mono"]) for row in rows if (row["model"], row["language"]) == ("a", "*") and row["seed"]]
    table = robustness(*options, "--json", models=models).json
    point = table["points"][1]
    level = point["measures"]["map_mono"]
    assert (point["model"], point["seeds"], level["value"]) == ("a", 3, pytest.approx(sum(values) / 3))
    assert level["deviation"] > 0
    assert table["points"][3] == point | {"model": "b"}, "the same model is the same under another name"
    monkeypatch.setenv("COLUMNS", "80")
    said = robustness(*options, models=models).out
    assert "mean of 3 seeds" in said
    assert re.search(r"^a +0 ", said, re.MULTILINE)
    assert [line for line in said.splitlines() if len(line.rstrip()) > 80] == []


def test_only_texts_that_changed_are_encoded_again(robustness: Robustness, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []

    def counting(encoder: Any, store: Any, **more: Any) -> Any:
        encoded.append(len(store))
        return encode(encoder, store, **more)

    monkeypatch.setattr(text_embeddings, "encode", counting)
    table = robustness("-p", "typos", "--strength", "0.01,0.4", "--json").json
    questions, passages, *again = encoded
    changed = [round(point["changed"]["*"]["texts"] * table["questions"]) for point in table["points"][1:]]
    assert passages == table["candidates"]
    assert 0 < again[0] <= changed[0] < questions
    assert len(again) == 2, "passages are encoded once"


def test_the_page_is_whole_and_can_be_made_again(robustness: Robustness, model: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    models = (f"one={model}", f"other<b>={model}")
    assert robustness("-p", "typos", "-o", page, models=models).code != 0, "no name"
    models = (f"one={model}", f"other={model}")
    done = robustness("-p", "typos", "-p", "dropped-diacritics", "--strength", "0.2", "-o", page, models=models)
    assert done.code == 0, done.err
    html = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", html)
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    assert len(figures) == 2 * (3 + 2), "three measures, and two models by language"
    assert [trace["name"] for trace in figures[0]["data"]] == ["one", "other"]
    assert "Nothing was changed in: zh." in html
    assert "text shared with world-facts was not looked for" in html
    (command,) = re.findall(r"<pre><code>(.*?)</code></pre>", html, re.DOTALL)
    words = shlex.split(command.replace("&#39;", "'").replace("&#34;", '"'))
    assert str(page) not in words
    first = robustness("-p", "typos", "-p", "dropped-diacritics", "--strength", "0.2", "--json", models=models).json
    again = robustness.line(*words[1:], "--home", robustness.home, "--json")
    assert again.json == first


def test_hard_passages_hurt_more_than_any(robustness: Robustness) -> None:
    few = robustness("-p", "distractors", "--perturb-set", POOL.replace(", zh", ""), "--strength", "1", "--json").json
    assert few["unaffected"] == {"distractors": ["zh"]}, "the pool has no passage in it"
    drops = {}
    for order in ("random", "adversarial"):
        done = robustness("-p", "distractors", "--perturb-set", POOL, "--perturb-set", f"distractors.order={order}",
                          "--strength", "0.1", "--json")  # fmt: skip
        drops[order] = done.json["points"][1]["measures"]["map_mono"]["drop"]
    assert drops["adversarial"] < drops["random"] <= 0
    settings = (POOL, "distractors.order=adversarial", f"distractors.model={robustness.model}")
    named = robustness("-p", "distractors", *(word for one in settings for word in ("--perturb-set", one)),
                       "--strength", "0.1", "--json")  # fmt: skip
    assert named.json["points"][1]["measures"]["map_mono"]["drop"] == drops["adversarial"]


@pytest.mark.parametrize(
    ("arguments", "place", "problem", "facts"),
    [
        (("-p", "typo"), None, "unknown perturbation", ("'typo'", "swapped-words", "did you mean 'typos'?")),
        (("-p", "typos", "--strength", "0,1.5"), "--strength", "out of range", ("1.5", "between 0 and 1")),
        (("-p", "typos", "--strength", "0,nan"), "--strength", "out of range", ("nan",)),
        (("-p", "typos", "--strength", "-0.1"), "--strength", "out of range", ("-0.1",)),
        (("-p", "typos", "--strength", "weak"), "--strength", "not a list of strengths", ("'weak'", "0,0.1")),
        (("-p", "typos", "--strength", "0"), "--strength", "no strength above 0", ("'0'",)),
        (("-p", "typos", "--side", "answers"), "--side", "no such side", ("questions, passages, both",)),
        (("-p", "typos", "-m", "map_mon"), "--measure", "unknown measure", ("did you mean 'map_mono'?",)),
        (("-p", "typos", "--perturb-set", "kinds=[insert]"), "--perturb-set", "not a setting", ("NAME=VALUE",)),
        (("-p", "typos", "--perturb-set", "case.to=upper"), "--perturb-set", "asked for", ("add --perturb case",)),
        (("-p", "typos", "--perturb-set", "typos.seed=1"), "--perturb-set", "option of its own", ("--seed 1",)),
        (("-p", "typos", "--perturb-set", "typos.kinds=[swap]"), "typos -> kinds.0", "unknown value", ("'swap'",)),
        (("-p", "typos", "--perturb-set", "typos.kind=[a"), "typos -> kind", "not YAML", ()),
        (("-p", "case", "--perturb-set", "case.too=upper"), "case -> too", "unknown key", ("did you mean 'to'?",)),
        (("-p", "distractors"), "distractors -> pool", "this key is missing", ()),
        (("-p", "distractors", "--perturb-set", "distractors.pool={dataset: world-fact}"),
         "distractors -> pool.dataset", "unknown data set", ("did you mean 'world-facts'?",)),
        (("-p", "distractors", "--perturb-set", "distractors.pool={dataset: world-facts, split: test}"),
         "world-facts-test -> distractors.pool", "no passage to add", ()),
    ],
)  # fmt: skip
def test_mistakes_are_named(
    robustness: Robustness, arguments: tuple[str, ...], place: str | None, problem: str, facts: tuple[str, ...]
) -> None:
    if problem == "no passage to add":  # the pool has to hold nothing but the task's own passages
        arguments = (*arguments[:-1], arguments[-1].replace("split: test", "split: test, relations: [currency]"))
    robustness(*arguments).is_message(place, problem, *facts)


def test_two_models_of_one_name_are_refused(robustness: Robustness, model: Path) -> None:
    done = robustness("-p", "typos", models=(model, model))
    done.is_message("MODEL", "two models of one name", "tiny-a=")


@pytest.mark.parametrize(
    ("damage", "path", "problem", "fact"),
    [
        (lambda file: file.unlink(), "dictionary", "there is no dictionary here", "HYBRIDBATCH_DATA"),
        (lambda file: file.write_bytes(b"PAR1"), "dictionary", "not a parquet file", "seen"),
        (lambda file: file.write_bytes(file.read_bytes()[:100]), "dictionary", "not a parquet file", "seen"),
        (lambda file: pq.write_table(pq.read_table(file).drop_columns("word"), file), "word", "lacks a column",
         "english, language, word, source"),
        (lambda file: pq.write_table(pa.table({name: [1] for name in ("english", "language", "word", "source")}), file),
         "english", "not text throughout", "int64"),
        (lambda file: pq.write_table(pa.table({"english": ["a"], "language": ["de"], "source": ["s"],
                                               "word": pa.array([None], pa.string())}), file),
         "word", "not text throughout", "1 empty"),
    ],
)  # fmt: skip
def test_a_broken_dictionary_is_named(
    robustness: Robustness, tmp_path: Path, damage: Any, path: str, problem: str, fact: str
) -> None:
    file = dictionary(tmp_path)
    damage(file)
    done = robustness("-p", "code-switching", "--perturb-set", f"code-switching.dictionary={file}")
    done.is_message(f"{file} -> {path}", problem, fact)


@pytest.mark.parametrize(
    ("setting", "path", "problem", "fact"),
    [
        ("languages=[dee]", "languages", "language not in the dictionary", "did you mean 'de'?"),
        ("sources=[wiki]", "sources", "source not in the dictionary", "a, b"),
    ],
)
def test_what_a_dictionary_does_not_have_is_named(
    robustness: Robustness, tmp_path: Path, setting: str, path: str, problem: str, fact: str
) -> None:
    file = dictionary(tmp_path)
    place = f"code-switching.dictionary={file}"
    done = robustness("-p", "code-switching", "--perturb-set", place, "--perturb-set", f"code-switching.{setting}")
    done.is_message(f"{file} -> {path}", problem, fact)
