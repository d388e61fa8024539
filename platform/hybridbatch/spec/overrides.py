"""Values put in place of others at dotted paths: what searched trials and baselines do to an experiment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from hybridbatch.foundation.errors import UserError, did_you_mean, one_of
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.search_space import AnyDistribution, extremes, middle

SEARCHABLE = ("data", "backbone", "batches", "loss", "training", "resources")


def apply(experiment: Experiment, values: Mapping[str, Any]) -> Experiment:
    """Return ``experiment`` with ``values`` (dotted path -> value) in place.

    A path may end in a key that stands at its default, such as ``batches.mix.multilingual``.

    Raises:
        UserError: If a path leads nowhere or its value is not acceptable there.
    """
    content = experiment.model_dump(mode="json")
    for path, value in values.items():
        _put(content, path, value)
    try:
        return Experiment.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(
            "these values are not acceptable together: " + first["msg"].removeprefix("Value error, "),
            path=", ".join(values),
            seen=dict(values),
        ) from error


def _put(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    if path.split(".", maxsplit=1)[0] not in SEARCHABLE:
        raise UserError(
            "this path cannot be searched", path=path, seen=path.split(".", maxsplit=1)[0], allowed=f"paths below {one_of(SEARCHABLE)}"
        )
    here: Any = content
    for part in parents:
        key = int(part) if isinstance(here, list) and part.isdigit() else part
        try:
            here = here[key]
        except (KeyError, IndexError, TypeError) as error:
            keys = list(here) if isinstance(here, dict) else [str(index) for index in range(len(here or ()))]
            raise UserError(
                "unknown path", path=path, seen=part, allowed=one_of(keys), remedy=did_you_mean(part, keys)
            ) from error
    if isinstance(here, list) and leaf.isdigit() and int(leaf) < len(here):
        here[int(leaf)] = value
    elif isinstance(here, dict):
        here[leaf] = value
    else:
        raise UserError("unknown path", path=path, seen=leaf)


def with_complements(space: Mapping[str, AnyDistribution], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` and, for each whose distribution names a complement, that path as one minus the value."""
    values = dict(params)
    for path, value in params.items():
        complement = space[path].complement
        if complement is not None:
            values[complement] = 1 - value
    return values


def probes(experiment: Experiment) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a place in the file and values that must be acceptable: ends of each searched range, each baseline."""
    space = experiment.search.space
    centre = {path: middle(distribution) for path, distribution in space.items()}
    for path, distribution in space.items():
        for value in extremes(distribution):
            yield f"search.space.{path}", with_complements(space, {**centre, path: value})
    for name, values in experiment.search.baselines.items():
        yield f"search.baselines.{name}", values
