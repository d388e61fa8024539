"""An earlier study of the same ledger, as a later one looks at it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import optuna

from hybridbatch.foundation.errors import UserError, did_you_mean, one_of
from hybridbatch.search.identity import CONTENT, EXTENSIONS
from hybridbatch.search.planned import PlannedTrials, is_replicate, planned_trials, resolve
from hybridbatch.spec import overrides
from hybridbatch.spec.dotted_paths import overlap
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.reader import validate
from hybridbatch.spec.search_space import AnyDistribution

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

# What tells nothing about the value of a trial: who asks, what is searched and how, what it runs on, and the sets that
# are looked at once, at the end.
_TELLS_NOTHING = (
    "name", "question", "search", "resources", "stores", "data.report", "data.leakage", "data.allow_overlap",
)  # fmt: skip


@dataclass(frozen=True)
class EarlierStudy:
    """A study as it stands in the ledger.

    Attributes:
        study: The study in Optuna's terms.
        experiments: What it was begun with and extended to, the last one last; none where the ledger does not say it in
            words that this version knows.
    """

    study: optuna.Study
    experiments: tuple[Experiment, ...]

    @cached_property
    def trials(self) -> list[FrozenTrial]:
        """Its complete and pruned trials, by number, without replicates."""
        states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        return [one for one in self.study.get_trials(deepcopy=False, states=states) if not is_replicate(one)]

    @cached_property
    def space(self) -> dict[str, AnyDistribution]:
        """All paths that were ever searched in it."""
        return {path: one for experiment in self.experiments for path, one in experiment.search.space.items()}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Its settings, but for what a trial has of its own: dotted path -> value."""
        return flat(self.experiments[-1])

    @cached_property
    def _plan(self) -> PlannedTrials:
        return planned_trials(self.experiments[-1])

    @cached_property
    def _baselines(self) -> dict[int, dict[str, Any]]:
        numbers = range(len(self._plan.baselines))
        return {number: flat(resolve(self.experiments[-1], self._plan, number, {})) for number in numbers}

    def settings_of(self, trial: FrozenTrial) -> dict[str, Any] | None:
        """Return the settings of a trial (dotted path -> value), None when they are not known."""
        if not self.experiments:
            return None
        if trial.number in self._baselines:
            return self._baselines[trial.number]
        if not trial.params.keys() <= self.space.keys():
            return None
        return self.settings | overrides.with_complements(self.space, trial.params)


def earlier_study(storage: BaseStorage, name: str, own_name: str, path: str) -> EarlierStudy:
    """Return the study ``name``.

    Args:
        storage: The ledger.
        name: Its name.
        own_name: Name of the study that asks.
        path: Where in the experiment file it is named.

    Raises:
        UserError: If it is not there.
    """
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        there = [one for one in optuna.get_all_study_names(storage) if one != own_name]
        raise UserError(
            "no such study in the ledger of this one",
            path=path,
            seen=name,
            allowed=one_of(there) or "none yet",
            remedy=did_you_mean(name, there)
            or "studies begin with others of the same home folder, or the same stores.ledger",
        ) from None
    return EarlierStudy(study, experiments_of(study))


def experiments_of(study: optuna.Study) -> tuple[Experiment, ...]:
    """Return what a study was begun with and extended to; none where this version does not know all of it."""
    attributes = study.user_attrs
    contents = [attributes.get(CONTENT), *(one.get("experiment") for one in attributes.get(EXTENSIONS, ()))]
    try:
        return tuple(validate(json.loads(content)) for content in contents if content)
    except UserError:  # of a version with other keys
        return ()


def flat(experiment: Experiment) -> dict[str, Any]:
    """Return all that decides the value of a trial: dotted path -> value."""
    found: dict[str, Any] = {}

    def walk(path: str, here: Any) -> None:
        if path in _TELLS_NOTHING:
            return
        below = here.items() if isinstance(here, Mapping) else enumerate(here) if isinstance(here, list) else ()
        inside = [(f"{path}.{key}" if path else str(key), value) for key, value in below]
        for one in inside:
            walk(*one)
        if not inside:
            found[path] = here

    walk("", experiment.model_dump(mode="json"))
    return found


def with_complement_paths(space: Mapping[str, AnyDistribution]) -> set[str]:
    """Return all paths that a search over ``space`` puts values at."""
    return {path for name, one in space.items() for path in (name, one.complement) if path is not None}


def differences(
    first: Mapping[str, Any], second: Mapping[str, Any], searched: Iterable[str]
) -> list[tuple[str, Any, Any]]:
    """Return where two settings differ outside of ``searched``: path, value of the first, value of the second."""
    passed_over = tuple(searched)
    paths = dict.fromkeys((*first, *second))
    return [
        (path, first.get(path), second.get(path))
        for path in paths
        if first.get(path) != second.get(path) and not any(overlap(path, one) for one in passed_over)
    ]
