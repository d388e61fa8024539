"""From the text of an experiment file to an Experiment, or to messages that say what to mend.

YAML has traps that end here: ``no`` is read as false and ``2e-5`` as text by YAML 1.1; both are read as people mean them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args

import yaml
from pydantic import ValidationError

from hybridbatch.foundation.errors import ExperimentErrors, HybridBatchError, UserError, did_you_mean, one_of
from hybridbatch.foundation.registries import DATASETS
from hybridbatch.spec import overrides
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.search_space import KEYS
from hybridbatch.spec.settings import ChosenFrom, Settings
from hybridbatch.spec.sources import SourceSettings

SUFFIXES = (".yaml", ".yml", ".json")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with the booleans and numbers of YAML 1.2, without repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _resolvers_of_yaml_1_2() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    kept = {
        first: [(tag, pattern) for tag, pattern in pairs if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return kept


_Loader.yaml_implicit_resolvers = _resolvers_of_yaml_1_2()
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf)$|^\.(?:nan|NaN)$"),
    list("-+0123456789."),
)


def read_experiment(file: Path) -> Experiment:
    """Return the experiment in ``file``.

    Raises:
        UserError: If the file cannot be read; as :class:`ExperimentErrors` with every mistake found in it.
    """
    return validate(_read_text(file), file)


def _read_text(file: Path) -> Any:
    if file.suffix not in SUFFIXES:
        raise UserError("not an experiment file", file=file, seen=file.suffix, allowed=", ".join(SUFFIXES))
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read the experiment file: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise UserError("the experiment file is not UTF-8", file=file, path=f"byte {error.start}") from error
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
        raise UserError(f"not YAML: {error.problem}", file=file, path=place) from error


def validate(content: Any, file: Path | None = None) -> Experiment:
    """Return ``content`` as an experiment, with each end of each searched range tried in its place.

    Raises:
        ExperimentErrors: With every mistake found.
    """
    if not isinstance(content, Mapping):
        raise UserError("an experiment file is a mapping", file=file, seen=content, allowed="key: value lines")
    try:
        # Strict pydantic takes lists for tuples from JSON alone.
        experiment = Experiment.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise ExperimentErrors(list(_messages(error, content, file))) from error
    problems: list[HybridBatchError] = []
    for place, values in overrides.probes(experiment):
        try:
            overrides.apply(experiment, values)
        except HybridBatchError as error:
            problems.append(
                UserError(error.problem, file=file, path=place, seen=error.seen, allowed=error.allowed, remedy=error.remedy)
            )
    if problems:
        raise ExperimentErrors(problems)
    return experiment


def read_source(dataset: str, settings: Mapping[str, str]) -> SourceSettings:
    """Return a data set named on the command line; values are read as YAML.

    Raises:
        UserError: If the name or a setting is not known.
    """
    entry = DATASETS.get(dataset)
    content = {"dataset": dataset, **{name: yaml.load(value, Loader=_Loader) for name, value in settings.items()}}  # noqa: S506
    try:
        return cast(SourceSettings, entry.model_validate_json(json.dumps(content)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        known = [field for field in entry.model_fields if field != "dataset"]
        problem = "unknown setting" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise UserError(problem, file=dataset, path=name, seen=settings.get(name), allowed=one_of(known)) from error


def _messages(error: ValidationError, content: Any, file: Path | None) -> Iterator[UserError]:
    for entry in error.errors(include_url=False):
        location = _without_tags(entry["loc"], content)
        problem, allowed, remedy = entry["msg"].removeprefix("Value error, "), None, None
        seen = None if isinstance(entry["input"], Mapping) else entry["input"]
        if entry["type"] == "extra_forbidden":
            fields = _fields_at(entry["loc"][:-1])
            problem, allowed = "unknown key", one_of(fields)
            seen, remedy = str(location[-1]), did_you_mean(str(location[-1]), fields)
        elif entry["type"].startswith("union_tag"):
            context = entry.get("ctx", {})
            names = re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
            key = str(context.get("discriminator", "")).strip("'")
            seen = context.get("tag")
            problem = f"unknown {key}" if seen else f"the key '{key}' is missing"
            allowed, remedy = one_of(names), did_you_mean(str(seen), names) if seen else None
            location = (*location, key)
        elif entry["type"] == "missing":
            problem, seen = "this key is missing", None
        elif problem.startswith("unknown ") and ", allowed: " in problem:
            problem, allowed = problem.split(", allowed: ", 1)
            if isinstance(seen, str):
                remedy = did_you_mean(seen, allowed.split(", "))
        yield UserError(
            problem, file=file, path=".".join(str(part) for part in location), seen=seen, allowed=allowed, remedy=remedy
        )


def _without_tags(location: tuple[int | str, ...], content: Any) -> tuple[int | str, ...]:
    """Drop the parts that pydantic adds for the chosen class of a union: they are no keys of the file."""
    kept: list[int | str] = []
    here = content
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(here, Mapping) and (part in here or last):
            kept.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            kept.append(part)
            here = here[part]
        elif isinstance(here, Mapping) and position + 1 < len(location) and isinstance(part, str):
            continue
        elif not isinstance(here, Mapping | list) and last and isinstance(part, int):
            kept.append(part)
    return tuple(kept)


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed at ``location`` as pydantic gives it: names of fields, indices and names of chosen classes."""
    model: Any = Experiment
    chosen: ChosenFrom | None = None
    for part in location:
        field = getattr(model, "model_fields", {}).get(part)
        if field is not None:
            inner = [*field.metadata, *_parts(field.annotation)]
            chosen = next((one for one in inner if isinstance(one, ChosenFrom)), None)
            model = next((one for one in inner if isinstance(one, type) and issubclass(one, Settings)), None)
        elif chosen is not None and part in chosen.registry.entries():
            model = chosen.registry.get(str(part))
        elif part in KEYS:
            model = KEYS[str(part)]
    return list(getattr(model, "model_fields", {}))


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation is made of, however deep."""
    yield annotation
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from _parts(part)
