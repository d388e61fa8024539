"""From the text of an experiment file to an Experiment, or to messages that say what to mend.

YAML has traps that end here: YAML 1.1 reads ``no`` as false, ``2e-5`` as text, ``12:30`` as 750 and ``010`` as 8; here
they are read as people mean them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hybridbatch.foundation.errors import ExperimentErrors, HybridBatchError, UserError
from hybridbatch.foundation.registries import AUGMENTATIONS, DATASETS
from hybridbatch.foundation.registry import Registry
from hybridbatch.spec import overrides
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.perturbations import Perturbation
from hybridbatch.spec.sources import SourceSettings
from hybridbatch.spec.validation_messages import validation_messages

SUFFIXES = (".yaml", ".yml", ".json")
_KEPT_OF_YAML_1_1 = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with the booleans and numbers of YAML 1.2, without dates and without repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a single word", key_node.start_mark)
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key_node.value}' stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag in _KEPT_OF_YAML_1_1]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9][0-9_]*$", "-+0123456789"),
    (
        "float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf)$|^\.(?:nan|NaN)$",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value.replace("_", "")))


def read_experiment(file: Path) -> Experiment:
    """Return the experiment in ``file``.

    Raises:
        UserError: If the file cannot be read; as :class:`ExperimentErrors` with every mistake found in it.
    """
    return validate(read_content(file), file)


def read_content(file: Path) -> Any:
    """Return what stands in ``file``, not yet checked.

    Raises:
        UserError: If the file cannot be read as YAML.
    """
    if file.suffix not in SUFFIXES:
        raise UserError("not an experiment file", file=file, seen=file.suffix or file.name, allowed=", ".join(SUFFIXES))
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
        raise UserError(f"not YAML: {error.problem}", file=file, path=place, remedy=_remedy(error)) from error
    except yaml.reader.ReaderError as error:
        place = f"line {text.count(chr(10), 0, error.position) + 1}"
        raise UserError(
            "not YAML: a character that no text holds", file=file, path=place, seen=error.character
        ) from error
    except RecursionError as error:
        raise _endless(file) from error


def _remedy(error: yaml.MarkedYAMLError) -> str | None:
    """Return what most often mends text of which the parser says only what it had expected."""
    problem = error.problem or ""
    if "block" in problem or "'\\t'" in problem or "could not find expected ':'" in problem:
        return "keys of one section begin in one column, here or above; indent with spaces, not with tabs"
    if "mapping values are not allowed" in problem:
        return "indent keys of one section alike, and put text that holds ': ' in quotes"
    return None


def validate(content: Any, file: Path | None = None) -> Experiment:
    """Return ``content`` as an experiment, with each end of each searched range tried in its place.

    Raises:
        ExperimentErrors: With every mistake found.
    """
    if not isinstance(content, Mapping):
        raise UserError("an experiment file is a mapping", file=file, seen=content, allowed="key: value lines")
    try:
        # Strict pydantic takes lists for tuples from JSON alone.
        experiment = Experiment.model_validate_json(_as_json(content, file))
    except ValidationError as error:
        raise _together(validation_messages(error, Experiment), file) from error
    problems = list(overrides.refused(experiment))
    if problems:
        raise _together(problems, file)
    return experiment


def read_source(dataset: str, settings: Mapping[str, str]) -> SourceSettings:
    """Return a data set named on the command line; values are read as in an experiment file.

    Args:
        dataset: The registered name.
        settings: Its settings as text, by name.

    Raises:
        UserError: If the name or a setting is not known; as :class:`ExperimentErrors` with every mistake found.
    """
    source: SourceSettings = _read_registered(DATASETS, "dataset", dataset, settings)
    return source


def read_perturbation(kind: str, settings: Mapping[str, str]) -> Perturbation:
    """Return a perturbation named on the command line; values are read as in an experiment file.

    Args:
        kind: The registered name.
        settings: Its settings as text, by name.

    Raises:
        UserError: If the name or a setting is not known; as :class:`ExperimentErrors` with every mistake found.
    """
    perturbation: Perturbation = _read_registered(AUGMENTATIONS, "kind", kind, settings)
    return perturbation


def _read_registered(registry: Registry[type[Any]], key: str, name: str, settings: Mapping[str, str]) -> Any:
    entry = registry.get(name)
    content: dict[str, Any] = {key: name}
    for setting, text in settings.items():
        try:
            content[setting] = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        except (yaml.YAMLError, RecursionError) as error:
            raise UserError("not YAML", file=name, path=setting, seen=text) from error
    try:
        return entry.model_validate_json(_as_json(content, Path(name)))
    except ValidationError as error:
        raise _together(validation_messages(error, entry), Path(name)) from error


def _as_json(content: Any, file: Path | None) -> str:
    try:
        return json.dumps(content, default=str)
    except (ValueError, RecursionError) as error:
        raise _endless(file) from error


def _endless(file: Path | None) -> UserError:
    remedy = "an alias (*name) must not stand inside the value that its anchor (&name) marks"
    return UserError("a value contains itself, or values lie too deep in one another", file=file, remedy=remedy)


def _together(problems: Iterable[HybridBatchError], file: Path | None) -> ExperimentErrors:
    return ExperimentErrors(
        [
            UserError(one.problem, file=file, path=one.path, seen=one.seen, allowed=one.allowed, remedy=one.remedy)
            for one in problems
        ]
    )
