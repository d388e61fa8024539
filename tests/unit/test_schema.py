"""The JSON Schema that editors use says the same as the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.small_study import content

from hybridbatch.foundation.registries import BACKBONES, DATASETS, PRUNERS, SAMPLERS
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.reader import read_content, validate
from hybridbatch.spec.schema import experiment_schema

EXPERIMENTS = sorted((Path(__file__).resolve().parents[2] / "experiments").glob("*/experiment.yaml"))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    made = experiment_schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return made


def accepts(schema: dict[str, Any], value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.parent.name)
def test_the_experiments_of_the_repository_follow_it(schema: dict[str, Any], file: Path):
    jsonschema.validate(read_content(file), schema, jsonschema.Draft202012Validator)


def test_an_experiment_with_every_default_written_out_follows_it(schema: dict[str, Any]):
    assert EXPERIMENTS
    experiment = validate(content())
    jsonschema.validate(json.loads(experiment.model_dump_json()), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "changes",
    [
        {"trainng": {}},
        {"backbone.layer": 2},
        {"backbone.kind": "scrach"},
        {"backbone.layers": "two"},
        {"data.train": []},
        {"data.selection": {"dataset": "xquad-r", "path": "not of this one"}},
        {"search.sampler": {}},
        {"search.objectives": [{"metric": "map_mult"}]},
        {"search.space": {"loss.temperature": {"unifrm": [0, 1]}}},
        {"search.space": {"loss.temperature": {"uniform": [0]}}},
        {"batches.mix": {"monolinguall": 1}},
        {"training.learning_rate": 0},
        {"name": "../up"},
    ],
)
def test_what_the_reader_refuses_by_its_form_the_schema_refuses(schema: dict[str, Any], changes: dict[str, Any]):
    assert accepts(schema, content())
    assert not accepts(schema, content(changes))


def test_every_registered_class_is_in_it_with_the_name_that_chooses_it(schema: dict[str, Any]):
    for registry in (DATASETS, BACKBONES, SAMPLERS, PRUNERS):
        for name, entry in registry.entries().items():
            key = "dataset" if registry is DATASETS else "kind"
            assert schema["$defs"][entry.__name__]["properties"][key]["const"] == name


def test_every_property_is_described(schema: dict[str, Any]):
    bare = [
        f"{name}.{key}"
        for name, definition in schema["$defs"].items()
        for key, content in definition["properties"].items()
        if "description" not in content
    ]
    said_by_their_class = {"Objective.metric", "Objective.direction", "AllowedOverlap.reason"}
    said_by_their_class |= {"Uniform.uniform", "LogUniform.log_uniform", "Choice.choice"}
    said_by_their_class |= {"IntegerRange.integer", "IntegerRange.log"}
    said_by_their_class |= {f"PairColumns.{column}" for column in ("item", "language", "query", "passage")}
    assert [name for name in bare if name not in said_by_their_class and not name.endswith((".kind", ".dataset"))] == []
    assert schema["$defs"]["Training"]["properties"]["warmup"]["description"].startswith("Share of the steps")
    assert "Attributes:" not in json.dumps(schema)


def test_every_class_of_settings_is_described(schema: dict[str, Any]):
    assert [name for name, definition in schema["$defs"].items() if not definition.get("description")] == []
    assert schema["title"] == "hybridbatch experiment"
    assert set(schema["properties"]) == set(Experiment.model_fields)
