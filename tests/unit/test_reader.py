"""Experiment files: what YAML makes of them, and what a person is told of a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.small_study import content

from hybridbatch.foundation.errors import ExperimentErrors, UserError
from hybridbatch.search.identity import identity
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.objectives import Objective
from hybridbatch.spec.reader import read_content, read_experiment, validate

SMALLEST = """
name: a
data:
  train: [{dataset: world-facts}]
  selection: {dataset: world-facts, split: dev}
backbone: {kind: scratch}
"""


def message(changes: dict[str, Any]) -> str:
    """Return what is said of an experiment file with ``changes`` (dotted path -> value) in place."""
    with pytest.raises(UserError) as caught:
        validate(content(changes), Path("e.yaml"))
    return str(caught.value)


def space(**distribution: Any) -> dict[str, Any]:
    return {"search.space": {"loss.temperature": distribution}}


@pytest.fixture
def experiment_file(tmp_path: Path) -> Path:
    return tmp_path / "e.yaml"


@pytest.mark.parametrize(
    ("yaml", "value"),
    [
        ("no", "no"),  # Norwegian
        ("on", "on"),
        ("true", True),
        ("2e-5", 2e-5),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-1.", -1.0),
        ("1_000", 1000),
        ("010", 10),
        ("+7", 7),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("~", None),
        ("null", None),
        ("'5'", "5"),
    ],
)
def test_words_are_read_as_people_mean_them(experiment_file: Path, yaml: str, value: object):
    experiment_file.write_text(f"key: {yaml}\n")
    read = read_content(experiment_file)["key"]
    assert (read, type(read)) == (value, type(value))


def test_a_whole_experiment_is_read_with_a_byte_order_mark_and_merged_keys(experiment_file: Path):
    experiment_file.write_text(
        "\ufeff" + SMALLEST + "training: &t {learning_rate: 2e-5}\nloss: {<<: {temperature: 1}, directions: both}\n"
    )
    experiment = read_experiment(experiment_file)
    assert experiment.training.learning_rate == 2e-5
    assert experiment.loss.temperature == 1.0


def test_norwegian_is_a_language(experiment_file: Path):
    norwegian = "{dataset: world-facts, languages: [no, en]}"
    experiment_file.write_text(SMALLEST.replace("{dataset: world-facts}", norwegian))
    assert read_experiment(experiment_file).data.train[0].languages == ("no", "en")


def test_json_is_read_too(tmp_path: Path, experiment_file: Path):
    experiment_file.write_text(SMALLEST)
    experiment = read_experiment(experiment_file)
    (tmp_path / "e.json").write_text(experiment.model_dump_json(indent=1))
    assert read_experiment(tmp_path / "e.json") == experiment


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: 1\nb: 2\na: 3\n", " -> line 3, column 1: not YAML: the key 'a' stands twice"),
        (b"a: {b: 1, b: 2}\n", " -> line 1, column 11: not YAML: the key 'b' stands twice"),
        (b"a: [1, 2\nb: 3\n", " -> line 2, column 2: not YAML: expected ',' or ']', but got ':'"),
        (b"a:\n\tb: 1\n", " -> line 2, column 1: not YAML: found character '\\t' that cannot start any token"),
        (b"a:\n\tb: 1\n", "any token\n  mend:    keys of one section begin in one column"),
        (b"a:\n   b: 1\n  c: 1\n", "found '<block mapping start>'\n  mend:    keys of one section begin in one column"),
        (b"a:\n  b: 1\n   c: 1\n", " -> line 3, column 5: not YAML: mapping values are not allowed here\n  mend: "),
        (b"a: why: not\n", "are not allowed here\n  mend:    indent keys of one section alike, and put text that"),
        (b"? [a]\n: 1\n", " -> line 1, column 3: not YAML: a key must be a single word"),
        (b"a: 1\nb: \x07\n", " -> line 2: not YAML: a character that no text holds"),
        (b"a: \xff\n", " -> byte 3: the experiment file is not UTF-8"),
        (b"!!python/object:os.system {}", "not YAML: could not determine a constructor"),
        (b"- a\n", ": an experiment file is a mapping\n  seen:    ['a']\n  allowed: key: value lines"),
        (b"", ": an experiment file is a mapping"),
        (b"a: &a {b: *a}\n", ": a value contains itself, or values lie too deep in one another\n  mend: "),
        (b"a: " + b"[" * 3000 + b"]" * 3000, ": a value contains itself, or values lie too deep in one another"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(experiment_file: Path, text: bytes, said: str):
    experiment_file.write_bytes(text)
    with pytest.raises(UserError) as caught:
        read_experiment(experiment_file)
    assert str(caught.value).startswith(str(experiment_file))
    assert said in str(caught.value)


def test_a_file_that_is_not_there_or_is_of_another_kind_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"absent\.yaml: cannot read the experiment file: No such file"):
        read_experiment(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match=r"not an experiment file\n  seen:    '\.txt'\n  allowed: \.yaml, \.yml, "):
        read_experiment(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"trainng": {}},
            "trainng: unknown key\n  seen:    'trainng'\n  allowed: arms, backbone, batches, data",
        ),
        ({"backbone.layer": 2}, "backbone.layer: unknown key"),
        ({"backbone.layer": 2}, "\n  mend:    did you mean 'layers'?"),
        ({"data.train": [{"dataset": "world-facts", "langauges": ["en"]}]}, "data.train.0.langauges: unknown key"),
        ({"data.train": [{"dataset": "world-facts", "langauges": ["en"]}]}, "did you mean 'languages'?"),
        (space(uniform=[0.1, 0.2], complment="x"), "search.space.loss.temperature.complment: unknown key"),
        (space(uniform=[0.1, 0.2], complment="x"), "\n  allowed: complement, uniform\n"),
        ({"search.sampler.startup": 1}, "search.sampler.startup: unknown key\n  seen:    'startup'\n  allowed: kind"),
        ({"search.objectives": [{"metric": "map_multi", "way": "up"}]}, "search.objectives.0.way: unknown key"),
    ],
)
def test_an_unknown_key_is_told_with_those_allowed_there(changes: dict[str, Any], said: str):
    assert said in message(changes)
    assert message(changes).startswith("e.yaml -> ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training.steps": "many"}, "training.steps: wrong type\n  seen:    'many'\n  allowed: a whole number"),
        ({"training.steps": 1.5}, "training.steps: wrong type\n  seen:    1.5\n  allowed: a whole number"),
        ({"training.steps": True}, "training.steps: wrong type\n  seen:    True\n  allowed: a whole number"),
        ({"loss.learn_temperature": 1}, "wrong type\n  seen:    1\n  allowed: true or false"),
        ({"loss.temperature": float("nan")}, "wrong type\n  seen:    nan\n  allowed: a finite number"),
        ({"question": ["a"]}, "question: wrong type\n  seen:    ['a']\n  allowed: text"),
        ({"data.train": {"dataset": "world-facts"}}, "data.train: wrong type"),
        ({"batches": None}, "batches: this key has no value\n  allowed: a mapping (key: value lines)"),
        ({"backbone": "scratch"}, "backbone: wrong type\n  seen:    'scratch'\n  allowed: a mapping"),
        ({"backbone": "scratch"}, "\n  mend:    write {kind: scratch}"),
        ({"batches.mix": {"monolingual": "x"}}, "batches.mix.monolingual: wrong type"),
        ({"training.learning_rate": -1}, "out of range\n  seen:    -1\n  allowed: greater than 0"),
        ({"training.warmup": 1.5}, "allowed: less than or equal to 1"),
        ({"training.schedule": "cosin"}, "unknown value\n  seen:    'cosin'\n  allowed: constant, linear, cosine\n"),
        ({"training.schedule": "cosin"}, "did you mean 'cosine'?"),
        ({"data.allow_overlap": {"reason": "x"}}, "data.allow_overlap.reason: too short\n  seen:    'x'"),
        ({"data.train": []}, "data.train: too short\n  seen:    []\n  allowed: at least 1 value"),
        ({"name": "../up"}, "name: not of the form that is needed\n  seen:    '../up'\n  allowed: lower-case letters"),
        ({"backbone.heads": 3}, "backbone: width must be a multiple of heads, but got width=16, heads=3"),
        ({"batches.mix": {"english": 0}}, "batches.mix: the weights of the mix sum to 0"),
        ({"resources.workers": [3, 2]}, "resources.workers: the fewest workers come first\n  seen:    [3, 2]"),
        ({"resources.workers": [3, 4]}, "batches.size: must be a multiple of resources.workers, 3\n  seen:    8"),
        ({"resources.workers": 3}, "batches.size: must be a multiple of resources.workers, 3\n  seen:    8"),
        (
            {"data.report": [{"dataset": "world-facts"}, {"dataset": "world-facts"}]},
            "data.report: a data set is reported twice",
        ),
        (
            {"search.objectives": [{"metric": "map_multi"}, {"metric": "map_multi", "direction": "minimize"}]},
            "search.objectives: an objective stands twice\n  seen:    ['map_multi', 'map_multi']",
        ),
        (
            {"search.objectives": [{"metric": "own_language_preference"}]},
            "search.objectives.0.direction: own_language_preference has no better direction of its own",
        ),
        ({"search.baseline_seeds": [0, 1, 0]}, "search.baseline_seeds: a seed stands twice"),
        ({"search.baseline_seeds": [0, -1]}, "search.baseline_seeds.1: out of range\n  seen:    -1"),
        (
            {"search.baseline_seeds": [0, 1], "search.baselines": {"a": {"training.seed": 3}}},
            "search.baselines.a: all replicates of this baseline would have one seed",
        ),
        (
            {"search.baselines": {"a": {"data.selection.split": "train"}}},
            "search.baselines.a: a baseline has the selection set of the others",
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(changes: dict[str, Any], said: str):
    assert said in message(changes)


@pytest.mark.parametrize(
    ("changes", "path", "allowed"),
    [
        ({"search.objectives": [{"metric": "map_mult"}]}, "search.objectives.0.metric: unknown metric", "map_multi"),
        ({"batches.mix": {"monolinguall": 1}}, "batches.mix.monolinguall: unknown batch kind", "monolingual"),
        ({"data.selection": {"dataset": "xquad"}}, "data.selection.dataset: unknown data set", "xquad-r"),
        ({"data.train": [{"dataset": "world-fact"}]}, "data.train.0.dataset: unknown data set", "world-facts"),
        ({"search.sampler": {"kind": "tpee"}}, "search.sampler.kind: unknown sampler", "tpe"),
        ({"search.pruner": {"kind": "ash"}}, "search.pruner.kind: unknown pruner", "asha"),
        ({"backbone": {"kind": "hugingface"}}, "backbone.kind: unknown backbone", "huggingface"),
    ],
)
def test_an_unknown_name_is_told_with_those_registered(changes: dict[str, Any], path: str, allowed: str):
    said = message(changes)
    assert said.startswith(f"e.yaml -> {path}\n")
    assert allowed in said.split("allowed: ")[1].split("\n")[0].split(", ")
    assert f"mend:    did you mean '{allowed}'?" in said


def test_a_choice_without_its_key_is_told_with_the_names():
    assert message({"search.pruner": {"reduction": 2}}) == (
        "e.yaml -> search.pruner.kind: the key 'kind' is missing\n  allowed: asha, hyperband, median"
    )


@pytest.mark.parametrize(
    ("distribution", "said"),
    [
        ({"uniform": [0.2, 0.1]}, "uniform: empty range: low < high must hold, but got low=0.2, high=0.1"),
        ({"integer": [3, 3]}, "empty range: low < high must hold, but got low=3, high=3"),
        ({"log_uniform": [0, 1]}, "0 < low must hold for a logarithmic range, but got low=0.0"),
        ({"choice": []}, "empty choice: at least one value must be listed"),
        ({"choice": [1, 2, 1.0]}, "a value is listed twice in [1, 2, 1.0]"),
        ({"choice": [[1]]}, "temperature.choice.0: wrong type\n  seen:    [1]\n  allowed: true or false, or a"),
        ({"choice": ["a"], "complement": "loss.x"}, "only numbers have a complement, but got 'a'"),
        ({"uniform": [0.1]}, "uniform.1: a value is missing\n  seen:    [0.1]\n  allowed: at least 2 values"),
        ({"uniform": [0.1, 0.2, 0.3]}, "uniform: too long"),
        ({"uniform": ["a", 0.2]}, "uniform.0: wrong type\n  seen:    'a'\n  allowed: a number"),
        ({"unifrm": [0, 1]}, "no distribution\n  seen:    {'unifrm': [0, 1]}\n  allowed: one of uniform"),
        ({"unifrm": [0, 1]}, "did you mean 'uniform'?"),
    ],
)
def test_a_range_that_gives_nothing_is_refused(distribution: dict[str, Any], said: str):
    assert said in message(space(**distribution))


@pytest.mark.parametrize(
    ("path", "distribution", "said"),
    [
        ("loss.temprature", {"uniform": [0.1, 0.2]}, "unknown key\n  seen:    'temprature'"),
        ("loss.temprature", {"uniform": [0.1, 0.2]}, "did you mean 'temperature'?"),
        ("los.temperature", {"uniform": [0.1, 0.2]}, "unknown path\n  seen:    'los'"),
        ("los.temperature", {"uniform": [0.1, 0.2]}, "did you mean 'loss'?"),
        (
            "search.trials",
            {"integer": [1, 2]},
            "'search'\n  allowed: arms, backbone, batches, data",
        ),
        ("data.train.3.split", {"choice": ["dev"]}, "unknown path\n  seen:    '3'\n  allowed: 0"),
        ("training.steps.x", {"choice": [1]}, "unknown path\n  seen:    'x'\n  allowed: at most 'training.steps'"),
        ("batches.mix.multi", {"uniform": [0, 1]}, "unknown batch kind\n  seen:    'multi'"),
        ("loss.temperature", {"uniform": [0.0, 0.2]}, "out of range\n  seen:    0.0\n  allowed: greater than 0"),
        ("training.steps", {"uniform": [1, 9]}, "wrong type\n  seen:    1.0\n  allowed: a whole number"),
        ("batches.size", {"choice": [8, "x"]}, "wrong type\n  seen:    'x'"),
        ("backbone.width", {"integer": [8, 15]}, "backbone: width must be a multiple of heads"),
        (
            "batches.mix.english",
            {"uniform": [0, 1], "complement": "batches.mix.englisch"},
            "batches.mix.englisch: unknown batch kind",
        ),
    ],
)
def test_a_searched_path_is_tried_in_its_place(path: str, distribution: dict[str, Any], said: str):
    found = message({"search.space": {"loss.directions": {"choice": ["both"]}, path: distribution}})
    assert found.startswith(f"e.yaml -> search.space.{path}: ")
    assert said in found
    assert found.count("e.yaml") == 1, "the other path is not to blame"


def test_ends_that_the_file_alone_would_refuse_are_accepted_beside_the_other_ranges():
    ends = {"batches.mix.monolingual": {"uniform": [0, 1]}, "batches.mix.crosslingual": {"uniform": [0, 1]}}
    mix = {"monolingual": 1.0, "crosslingual": 0.0}
    assert validate(content({"search.space": ends, "batches.mix": mix})).batches.mix == mix


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (
            {"loss.temperature": {"uniform": [0.1, 0.2], "complement": "loss.temperature"}},
            "search.space.loss.temperature.complement: the complement is a path that another value is put at",
        ),
        (
            {
                "batches.mix.english": {"uniform": [0, 1], "complement": "batches.mix.crosslingual"},
                "batches.mix.crosslingual": {"uniform": [0, 1]},
            },
            "search.space.batches.mix.english.complement: the complement is a path",
        ),
        (
            {
                "batches.mix.english": {"uniform": [0, 1], "complement": "batches.mix.crosslingual"},
                "batches.mix.monolingual": {"uniform": [0, 1], "complement": "batches.mix.crosslingual"},
            },
            "search.space.batches.mix.monolingual.complement: the complement is a path",
        ),
        (
            {"data.selection.split": {"choice": ["dev", "train"]}},
            "search.space.data.selection.split: the selection set cannot be searched",
        ),
        (
            {"training.warmup": {"uniform": [0.1, 0.2], "complement": "data.selection.dev_share"}},
            "search.space.training.warmup: the selection set cannot be searched",
        ),
    ],
)
def test_values_that_would_overwrite_each_other_or_the_selection_set_are_refused(space: dict[str, Any], said: str):
    assert said in message({"search.space": space})


def test_an_objective_takes_the_direction_of_its_metric():
    metrics = ["map_multi", "rank_distance", {"metric": "own_language_preference", "direction": "minimize"}]
    objectives = [{"metric": one} if isinstance(one, str) else one for one in metrics]
    made = validate(content({"search.objectives": objectives}))
    assert [one.direction for one in made.search.objectives] == ["maximize", "minimize", "minimize"]
    assert Objective(metric="rank_distance").direction == "minimize"


def test_a_direction_that_is_written_out_makes_no_other_experiment():
    left_out, written = (
        validate(content({"search.objectives": [{"metric": metric, **direction} for metric, direction in objectives]}))
        for objectives in (
            [("map_multi", {}), ("rank_distance", {})],
            [("map_multi", {"direction": "maximize"}), ("rank_distance", {"direction": "minimize"})],
        )
    )
    assert left_out == written
    assert identity(left_out) == identity(written)
    # What the ledgers of existing studies hold must not change.
    (first, second) = written.model_dump(exclude_defaults=True)["search"]["objectives"]
    assert (first, second) == ({"metric": "map_multi"}, {"metric": "rank_distance", "direction": "minimize"})


def test_baselines_are_tried_in_their_place():
    said = message({"search.baselines": {"wide": {"backbone.width": 17}, "deep": {"backbone.layer": 2}}})
    assert "e.yaml -> search.baselines.wide: backbone: width must be a multiple of heads" in said
    assert "e.yaml -> search.baselines.deep: backbone.layer: unknown key" in said


def test_all_mistakes_are_told_at_once():
    changes = {"training.steps": 0, "backbone.layer": 1, "loss.directions": "up", "data.train": [{"dataset": "x"}]}
    with pytest.raises(ExperimentErrors) as caught:
        validate(content(changes), Path("e.yaml"))
    told = {error.path for error in caught.value.errors}
    assert told == {"training.steps", "backbone.layer", "loss.directions", "data.train.0.dataset"}
    assert str(caught.value).count("e.yaml -> ") == 4


def test_a_missing_part_is_named():
    whole = content()
    del whole["data"]["selection"], whole["name"]
    with pytest.raises(ExperimentErrors) as caught:
        validate(whole)
    assert str(caught.value) == "name: this key is missing\ndata.selection: this key is missing"


def test_what_was_validated_is_validated_again_from_its_own_json(experiment_file: Path):
    experiment_file.write_text(SMALLEST)
    experiment = read_experiment(experiment_file)
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment
