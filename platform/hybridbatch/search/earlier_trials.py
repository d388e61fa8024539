"""Trials of earlier studies, for samplers alone: a view of a study that has them in front."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from copy import deepcopy as copied
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

from hybridbatch.search.distributions import contains
from hybridbatch.search.outcomes import RUNGS, written_rungs
from hybridbatch.search.planned import BASELINE
from hybridbatch.spec.taken import Learnt

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # Optuna's times have no zone; no sampler reads them


def as_trials(learnt: Sequence[Learnt], space: Mapping[str, BaseDistribution]) -> list[FrozenTrial]:
    """Return trials of earlier studies in Optuna's terms, those that lie in the space of today.

    Their numbers are negative, so that they are older than any of the study's own and are none of these.
    """
    return [
        _as_trial(one, index - len(learnt), space)
        for index, one in enumerate(learnt)
        if all(path in one.params and contains(space[path], one.params[path]) for path in space)
    ]


def _as_trial(one: Learnt, number: int, space: Mapping[str, BaseDistribution]) -> FrozenTrial:
    rungs = {one.step: list(one.values)} if one.pruned and one.values else {}
    attributes: dict[str, Any] = {RUNGS: written_rungs(rungs)} if rungs else {}
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.PRUNED if one.pruned else TrialState.COMPLETE,
        value=None,
        values=None if one.pruned else list(one.values),
        datetime_start=_LONG_AGO,
        datetime_complete=_LONG_AGO,
        params={path: one.params[path] for path in space},
        distributions=dict(space),
        user_attrs=attributes | ({BASELINE: "earlier"} if one.baseline else {}),
        system_attrs={f"{_CONSTRAINTS_KEY}:{name}": excess for name, excess in one.excess.items()},
        # Optuna's samplers know them for one objective only, as in the ledger.
        intermediate_values={step: values[0] for step, values in rungs.items() if len(values) == 1},
    )


class WithEarlierTrials:
    """A study of which the trials of earlier ones are the first; whatever is written goes to the study itself.

    Args:
        study: The study.
        earlier: Trials of earlier studies.
    """

    def __init__(self, study: Study, earlier: Sequence[FrozenTrial]) -> None:
        self._study, self._earlier = study, earlier

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials in these states, all when None: the earlier ones, then the study's own."""
        return self._get_trials(deepcopy, states)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials."""
        return self._get_trials()

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        earlier = [trial for trial in self._earlier if states is None or trial.state in states]
        return [*(copied(earlier) if deepcopy else earlier), *self._study._get_trials(deepcopy, states, use_cache)]
