"""Values put in place of others at dotted paths: what searched trials and baselines do to an experiment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from hybridbatch.foundation.errors import UserError, did_you_mean, one_of
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.search_space import AnyDistribution, extremes, middle
from hybridbatch.spec.validation_messages import validation_messages

SEARCHABLE = ("data", "backbone", "batches", "loss", "arms", "training")  # what a trial runs on says nothing about it


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
        raise validation_messages(error, Experiment)[0] from error


def _put(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    first = (*parents, leaf)[0]
    if first not in SEARCHABLE:
        raise _no_such_path(path, first, SEARCHABLE)
    here: Any = content
    for part in parents:
        here = here[_key(here, part, path)]
    if isinstance(here, dict):
        here[leaf] = value  # a key that the settings do not have is refused when they are validated
    else:
        here[_key(here, leaf, path)] = value


def _key(here: Any, part: str, path: str) -> str | int:
    """Return ``part`` as a key of ``here``, which is a mapping or a list."""
    if isinstance(here, dict) and part in here:
        return part
    if isinstance(here, list) and part.isdigit() and int(part) < len(here):
        return int(part)
    keys: Iterable[object] = here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
    raise _no_such_path(path, part, [str(key) for key in keys])


def _no_such_path(path: str, part: str, keys: Iterable[str]) -> UserError:
    names = list(keys)
    if not names:
        end = path.split(f".{part}", maxsplit=1)[0]
        return UserError("unknown path", path=path, seen=part, allowed=f"at most '{end}'")
    return UserError("unknown path", path=path, seen=part, allowed=one_of(names), remedy=did_you_mean(part, names))


def with_complements(space: Mapping[str, AnyDistribution], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` and, for each whose distribution names a complement, that path as one minus the value."""
    values = dict(params)
    for path, value in params.items():
        complement = space[path].complement
        if complement is not None:
            values[complement] = 1 - value
    return values


def refused(experiment: Experiment) -> Iterator[UserError]:
    """Yield what is wrong with search space, points to try, seeds of replicates and baselines.

    Each must be acceptable in its place.
    The ends of a range are tried beside the other values of the file and, should they not go together with those,
    beside the middles of the other ranges.
    """
    space = experiment.search.space
    for path, distribution in space.items():
        rest = {other: middle(one) for other, one in space.items() if other != path}
        for value in extremes(distribution):
            here = with_complements(space, {path: value})
            error = _refusal(experiment, here)
            if error and rest and not _refusal(experiment, {**with_complements(space, rest), **here}):
                error = None
            if error:
                yield _in_search(error, f"search.space.{path}")
                break
    for index, point in enumerate(experiment.search.enqueue):
        rest = {path: middle(one) for path, one in space.items() if path not in point}
        error = _refusal(experiment, with_complements(space, point))
        if error and rest and not _refusal(experiment, with_complements(space, {**rest, **point})):
            error = None
        if error:
            yield _in_search(error, f"search.enqueue.{index}")
    seed, replicates = experiment.training.seed, experiment.search.replicates
    if replicates is not None and seed in replicates.seeds:
        yield UserError(
            f"the trials of the search have this seed: training.seed is {seed}",
            path="search.replicates.seeds",
            seen=list(replicates.seeds),
            allowed="other seeds",
        )
    for name, values in experiment.search.baselines.items():
        error = _refusal(experiment, values)
        if error:
            yield _in_search(error, f"search.baselines.{name}")


def _refusal(experiment: Experiment, values: Mapping[str, Any]) -> UserError | None:
    try:
        apply(experiment, values)
    except UserError as error:
        return error
    return None


def _in_search(error: UserError, place: str) -> UserError:
    """Return ``error`` as seen from ``place``, naming the path of the value unless the place ends in it."""
    path = error.path or ""
    problem = error.problem if place == f"search.space.{path}" else f"{path}: {error.problem}"
    return UserError(problem, path=place, seen=error.seen, allowed=error.allowed, remedy=error.remedy)
