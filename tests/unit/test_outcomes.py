"""The order that samplers learn from, of trials that came to different ends."""

from __future__ import annotations

from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hybridbatch.search.outcomes import ranked

UP, DOWN = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE


def complete(*values: float, excess: float | None = None) -> FrozenTrial:
    constraints = {} if excess is None else {"constraints:rank_distance": excess}
    return create_trial(values=list(values), system_attrs=constraints)


def pruned(**rungs: Any) -> FrozenTrial:
    attributes = {"rungs": {step.removeprefix("at"): values for step, values in rungs.items()}}
    return create_trial(state=TrialState.PRUNED, user_attrs=attributes)


def test_complete_ones_first_then_those_that_came_farther() -> None:
    trials = [
        pruned(at100=0.9),
        complete(0.3),
        pruned(at100=0.1, at200=0.2),
        complete(0.5),
        pruned(at100=0.1, at200=0.4),
        pruned(),
    ]
    assert ranked(trials, [UP]) == [4, 1, 3, 0, 2, 5]
    assert ranked(trials, [DOWN]) == [4, 0, 2, 1, 3, 5]


def test_what_keeps_to_the_constraints_comes_before_all_else() -> None:
    trials = [complete(0.9, excess=3.0), complete(0.2, excess=-1.0), complete(0.8, excess=0.5), complete(0.3, excess=0)]
    assert ranked(trials, [UP]) == [3, 1, 2, 0]


def test_several_objectives_count_by_their_fronts() -> None:
    trials = [
        complete(0.5, 50.0),
        complete(0.9, 90.0),
        complete(0.1, 10.0),
        pruned(at100=[0.9, 1.0]),
        pruned(at100=0.9),
    ]
    # One front: the best by the first objective, the farthest from it, the one between. Of the pruned ones an older
    # version wrote the second's first objective alone.
    assert ranked(trials, [UP, DOWN]) == [2, 0, 1, 3, 4]
