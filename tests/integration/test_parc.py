"""``hybridbatch parc`` from its arguments to tables, JSON, CSV and predictions; and what it refuses."""

from __future__ import annotations

import csv
import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests import planted_parc
from tests.command_line import CommandLine, Outcome

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ITEMS = 40
THIRD = pytest.approx(1 / 3)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs, a retriever that finds the right neighbours, and a language model that believes them."""
    root = tmp_path_factory.mktemp("planted")
    planted_parc.write_xnli(root / "xnli", ITEMS)
    planted_parc.write_retriever(root / "retriever")
    planted_parc.write_language_model(root / "language-model")
    return root


@pytest.fixture
def parc(command_line: CommandLine, planted: Path, tmp_path: Path) -> Any:
    def run(*arguments: object, retriever: object = planted / "retriever") -> Outcome:
        given = dict(pairwise(arguments))
        model = given.get("--language-model", planted / "language-model")
        data = ("--set", f"folder={planted / 'xnli'}", "--set", "languages=[en, es, sw]")
        rest = ("--language-model", model, *data, "--home", tmp_path / "home")
        return command_line("parc", retriever, *rest, *arguments)

    return run


def accuracies(done: Outcome) -> dict[str, Any]:
    """Return the mean accuracy of each arm."""
    assert done.code == 0, done.err
    return {row["arm"]: row["accuracy"] for row in done.json["accuracies"] if row["language"] is None}


def test_good_neighbours_give_the_label_and_random_ones_do_not(parc: Any) -> None:
    done = parc("--json")
    found = accuracies(done)
    assert (found["retrieved"], found["neighbours"]) == (1, 1)
    assert found["direct"] == THIRD, "without neighbours the model says the first label"
    assert found["random"] == pytest.approx(1 / 3, abs=0.1)
    table = done.json
    assert set(table) == {
        "dataset", "retriever", "language_model", "settings", "words", "chance", "items", "pairs", "languages", "pool",
        "accuracies", "differences", "prompts", "cut", "leakage",
    }  # fmt: skip
    assert (table["dataset"], table["languages"], table["items"], table["pairs"]) == ("xnli-test", ["es", "sw"], 20, 60)
    assert table["pool"] == {"dataset": "xnli-test", "language": "en", "pairs": 60, "dropped": 0}
    assert table["words"] == {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"}
    assert (table["chance"], table["cut"], table["prompts"]) == (THIRD, 0, 2 * 3 * 60)
    differences = {(row["language"], row["second"]): row for row in table["differences"]}
    assert differences["sw", "direct"]["difference"] == pytest.approx(2 / 3)
    assert differences["sw", "direct"]["p_holm"] < 0.01
    assert differences[None, "random"]["low"] > 0.5
    assert differences[None, "random"]["p_holm"] is None
    assert differences["es", "neighbours"]["difference"] == 0


def test_a_retriever_that_sees_no_cue_is_no_better_than_chance(parc: Any) -> None:
    """Premises hold no cue: all pairs get the same neighbour, whose label is right once in three."""
    found = accuracies(parc("--retrieve-by", "premise", "--json"))
    assert found["retrieved"] == found["neighbours"] == THIRD


def test_predicted_labels_are_those_of_the_language_model(parc: Any) -> None:
    """This model says the first label of everything, so that its neighbours are labelled so."""
    found = accuracies(parc("--retrieve-by", "pair", "--labels", "predicted", "--json"))
    assert found == {"direct": THIRD, "retrieved": THIRD, "random": THIRD, "neighbours": THIRD}


@pytest.mark.parametrize("aggregate", ["mean", "vote", "concatenation"])
def test_several_neighbours(parc: Any, aggregate: str) -> None:
    done = parc("--retrieve-by", "pair", "-k", 3, "--aggregate", aggregate, "--json")
    assert accuracies(done)["retrieved"] == 1
    assert done.json["prompts"] == (360 if aggregate == "concatenation" else 2 * 60 * (1 + 3 + 3))


def test_a_pool_of_another_split(parc: Any, planted: Path) -> None:
    planted_parc.write_xnli(planted / "xnli", 12, ("en",), "validation")
    done = parc("--retrieve-by", "pair", "--pool", "validation", "--json")
    assert accuracies(done)["retrieved"] == 1
    assert (done.json["pool"]["dataset"], done.json["pool"]["pairs"], done.json["items"]) == ("xnli-validation", 36, 40)


def test_settings_change_what_is_asked(parc: Any) -> None:
    table = parc("--items", 7, "--pool-share", 0.25, "--pool-language", "sw", "--seed", 3, "--json").json
    assert (table["items"], table["languages"]) == (7, ["en", "es"])
    assert (table["pool"]["language"], table["pool"]["pairs"]) == ("sw", 30)
    turned = (
        "--label-word",
        "entailment=No",
        "--label-word",
        "contradiction=Yes",
        "--pattern",
        "{mask} {premise} {hypothesis}",
    )
    found = parc("--retrieve-by", "pair", "--json", *turned)
    assert accuracies(found)["retrieved"] == 1
    assert found.json["words"]["entailment"] == "No"


def test_the_same_seed_gives_the_same_figures(parc: Any) -> None:
    first, again = parc("--json"), parc("--json")
    assert first.json == again.json
    assert parc("--json", "--seed", 1).json["accuracies"] != first.json["accuracies"]


def test_tables_csv_and_predictions(parc: Any, tmp_path: Path) -> None:
    said = parc("--retrieve-by", "pair", "--predictions", tmp_path / "predictions.parquet").out
    assert "20 items, 60 pairs a language; pool: 60 pairs of xnli-test in en, of other items; 1 each, with" in said
    assert "retrieved direct" in said
    assert "leakage: language model: what it learnt from is not known here" in said
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.num_rows == 2 * 4 * 60
    for row in table.to_pylist():
        assert row["predicted"] == max(planted_parc.LABELS, key=row.__getitem__)
        assert sum(row[label] for label in planted_parc.LABELS) == pytest.approx(1)
        assert row["arm"] != "retrieved" or row["predicted"] == row["label"]
    rows = list(csv.DictReader(io.StringIO(parc("--csv").out)))
    assert [row["language"] for row in rows[::4]] == ["es", "sw", "*"]
    assert [row["arm"] for row in rows[:4]] == ["direct", "retrieved", "random", "neighbours"]


@pytest.mark.parametrize(
    ("arguments", "place", "problem", "fact"),
    [
        (("--label-word", "neutral=Perhaps"), "--label-word", "has to be one token", "Perhaps: [UNK]"),
        (("--label-word", "neutral=Maybe not"), "--label-word", "has to be one token", "Maybe not: Maybe [UNK]"),
        (("--label-word", "neutral=Yes"), "--label-word", "two labels have the same word", "a word of its own"),
        (("--label-word", "neutrall=Yes"), "--label-word", "a word for no label", "neutral=WORD"),
        (("--label-word", "Yes"), "--label-word", "not a word of a label", "LABEL=WORD"),
        (("--pattern", "{premise} {mask}"), "--pattern", "not a pattern", "{hypothesis} once"),
        (("--pattern", "{premise} {mask} {hypothesis} {"), "--pattern", "not a pattern", "{hypothesis} once"),
        (("-k", 61), "--neighbours", "the pool has fewer pairs", "at most 60"),
        (("-k", 20, "--aggregate", "concatenation"), "--longest", "no room for the texts", "fewer neighbours"),
        (("--longest", 65), "--longest", "no positions for so long a prompt", "at most 64"),
        (("--longest", 8), "--longest", "no room for the texts", "shorten the pattern"),
        (("--labels", "some"), "--labels", "no such labels", "true, predicted"),
        (("--pool", "train"), "--pool", "no such pool", "held-out"),
        (("--pool", "test"), "--pool", "no such pool", "another split of xnli"),
        (("--pool-language", "xx"), "xnli -> languages", "language not in the data set", "en"),
        (("--set", "languages=[en]"), "--set languages", "no language is left to ask in", "beside that of the pool"),
        (("-d", "world-facts", "--set", "split=test"), None, "this data set has no labelled pairs", "xnli"),
    ],
)  # fmt: skip
def test_mistakes(
    parc: Any, command_line: CommandLine, planted: Path, arguments: tuple[object, ...], place: str | None, problem: str,
    fact: str,
) -> None:  # fmt: skip
    if "-d" in arguments:
        models = (planted / "retriever", "--language-model", planted / "language-model")
        command_line("parc", *models, *arguments, "--home", planted / "home").is_message(place, problem, fact)
    else:
        parc(*arguments).is_message(place, problem, fact)


def test_models_that_are_none(parc: Any, planted: Path) -> None:
    done = parc("--language-model", planted / "retriever")
    done.is_message(str(planted / "retriever"), "not the weights of a masked language model", "cls.predictions")
    parc("--language-model", "nowhere/at-all").is_message("nowhere/at-all", "the model cannot be loaded", "local")
    parc(retriever="nowhere/at-all").is_message("nowhere/at-all", "the model cannot be loaded", "local folder")


def test_real_pairs(command_line: CommandLine, planted: Path, data_root: Path, tmp_path: Path) -> None:
    """The language model knows none of these words but its own: what counts is that nothing is shared or lost."""
    done = command_line(
        "parc", planted / "retriever", "--language-model", planted / "language-model", "--set",
        "languages=[en, es, de]", "--items", 30, "--json", "--data", data_root, "--home", tmp_path,
    )  # fmt: skip
    found = accuracies(done)
    assert found["direct"] == THIRD
    assert (done.json["items"], done.json["pool"]["pairs"]) == (30, 835 * 3)
