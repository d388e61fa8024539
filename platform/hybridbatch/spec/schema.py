"""JSON Schema of experiment files, for editors: completion, descriptions and checks while one types."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from hybridbatch.foundation.registries import BATCH_KINDS
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.objectives import objective_directions

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> dict[str, Any]:
    """Return the JSON Schema of experiment files.

    It knows every registered data set, backbone, batch kind, metric, sampler and pruner. The descriptions are those of
    the docstrings. What pydantic checks by code (such as width against heads) is not in it.
    """
    schema = Experiment.model_json_schema(schema_generator=_WithDocstrings)
    definitions = schema["$defs"]
    for choice in _choices(schema):
        key = choice["discriminator"]["propertyName"]
        for name, reference in choice["discriminator"]["mapping"].items():
            chosen = definitions[reference.rsplit("/", 1)[-1]]
            chosen["properties"][key] = {**chosen["properties"].get(key, {}), "const": name}
            chosen["required"] = sorted({*chosen.get("required", ()), key})
    definitions["Batches"]["properties"]["mix"]["propertyNames"] = {"enum": list(BATCH_KINDS.entries())}
    objective = definitions["Objective"]["properties"]
    objective["metric"]["enum"] = list(objective_directions())
    del objective["direction"]["default"]  # it depends on the metric
    return {"$schema": DIALECT, **schema, "title": "hybridbatch experiment"}


def settings_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of one class of settings, with the descriptions of its docstrings."""
    return kind.model_json_schema(schema_generator=_WithDocstrings)


class _WithDocstrings(GenerateJsonSchema):
    """Takes the description of each property from the ``Attributes`` of the docstrings of its class and bases."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        described = _attributes(schema["cls"])
        for name, content in made.get("properties", {}).items():
            if name in described:
                content.setdefault("description", described[name])
            content.pop("title", None)  # only the name again, in capitals
        made["description"] = inspect.cleandoc(schema["cls"].__doc__ or "").split("\n\nAttributes:")[0]
        return made


def _attributes(cls: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each attribute."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        _, _, section = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")
        for name, text in re.findall(r"^ {4}([\w-]+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
            found[name] = " ".join(text.split())
    return found


def _choices(node: Any) -> list[dict[str, Any]]:
    """Return every part of a schema that chooses a class by a key, however deep."""
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = [choice for part in below for choice in _choices(part)]
    return [node, *found] if isinstance(node, dict) and "discriminator" in node else found
