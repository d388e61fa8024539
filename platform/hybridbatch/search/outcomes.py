"""Trials that are over, from the best to the worst, whatever became of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hybridbatch.search.pareto_order import positions

if TYPE_CHECKING:
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

RUNGS = "rungs"  # name of the user attribute of an Optuna trial that holds its objectives by step


def rungs_of(trial: FrozenTrial, objectives: int) -> dict[int, list[float]]:
    """Return the objectives at the rungs of a trial, by step."""
    return {int(step): _whole(values, objectives) for step, values in trial.user_attrs.get(RUNGS, {}).items()}


def rung_of(trial: FrozenTrial, step: int, objectives: int) -> list[float] | None:
    """Return the objectives of a trial at ``step``; None when it has not been measured there."""
    values = trial.user_attrs.get(RUNGS, {}).get(str(step))
    return None if values is None else _whole(values, objectives)


def written_rungs(rungs: Mapping[int, list[float]]) -> dict[str, Any]:
    """Return what the attribute holds: a number for each step where there is one objective, else a list."""
    return {str(step): values if len(values) > 1 else values[0] for step, values in rungs.items()}


def _whole(values: Any, objectives: int) -> list[float]:
    """Return the objectives of one rung; NaN where an older version wrote the first one alone."""
    found = list(values) if isinstance(values, list) else [values]
    return found + [math.nan] * (objectives - len(found))


def keeps_to_constraints(trial: FrozenTrial) -> bool:
    """Return whether a trial breaks no bound of the search."""
    return not any(excess > 0 for excess in trial.constraints.values())


def best_first(trials: Iterable[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
    """Return the complete trials that keep to all constraints, the best first, of equals the earlier one."""
    kept = [trial for trial in trials if trial.state.name == "COMPLETE" and keeps_to_constraints(trial)]
    places = positions([trial.values for trial in kept], [direction.name.lower() for direction in directions])
    return [trial for _, trial in sorted(zip(places, kept, strict=True), key=lambda pair: (pair[0], pair[1].number))]


def ranked(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[int]:
    """Return for each trial how many are better, by what samplers may learn from.

    Complete trials that keep to all constraints come first, then those that break them, the less the better, then
    pruned ones, which are the better the later they were pruned. Among equals count the objectives, at the last
    rung of a pruned trial.

    Args:
        trials: Complete and pruned trials.
        directions: Directions of the objectives.
    """
    names = [direction.name.lower() for direction in directions]
    classes: dict[tuple[float, ...], list[int]] = {}
    values: list[Sequence[float]] = []
    for index, trial in enumerate(trials):
        broken = sum(max(0.0, excess) for excess in trial.constraints.values())
        if trial.state.name == "COMPLETE":
            values.append(trial.values)
            key: tuple[float, ...] = (0, broken)
        else:
            rungs = rungs_of(trial, len(names))
            last = max(rungs, default=0)
            values.append(rungs.get(last, [math.nan] * len(names)))
            key = (1, -last)
        classes.setdefault(key, []).append(index)
    found, before = [0] * len(trials), 0
    for key in sorted(classes):
        members = classes[key]
        for index, place in zip(members, positions([values[one] for one in members], names), strict=True):
            found[index] = before + place
        before += len(members)
    return found
