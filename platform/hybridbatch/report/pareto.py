"""Which of several outcomes nobody would exchange for another: the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def non_dominated(values: Sequence[Sequence[float]], directions: Sequence[str]) -> list[bool]:
    """Return for each outcome whether none is at least as good in all objectives and better in one.

    Outcomes that are equal in every objective do not dominate each other. With one objective the best are the front.

    Args:
        values: The objectives of each outcome.
        directions: ``maximize`` or ``minimize`` for each objective.
    """
    signs = [1.0 if direction == "maximize" else -1.0 for direction in directions]
    gains = [[sign * value for sign, value in zip(signs, row, strict=True)] for row in values]
    return [not any(_dominates(other, mine) for other in gains) for mine in gains]


def _dominates(first: list[float], second: list[float]) -> bool:
    return first != second and all(a >= b for a, b in zip(first, second, strict=True))


@dataclass(frozen=True)
class HypervolumePoint:
    """How much of the box was dominated once so many trials had ended.

    Attributes:
        trials: Trials that had ended, in any state.
        hours: Hours that all of them together had taken.
        share: Dominated share of the box between the worst and the best value of both objectives, from 0 to 1.
    """

    trials: int
    hours: float
    share: float


def dominated_share(
    values: Sequence[tuple[float, float]], directions: Sequence[str], box: Sequence[tuple[float, float]]
) -> float:
    r"""Return the hypervolume of two objectives as a share of a box.

    The area that the outcomes dominate inside the box, whose worst corner is the reference, divided by the box's area:
    the sum of the steps of the staircase (Zitzler and Thiele, *Multiobjective evolutionary algorithms*, IEEE TEC 3,
    1999).

    Args:
        values: Both objectives of each outcome.
        directions: ``maximize`` or ``minimize`` for each objective.
        box: Lowest and highest value of each objective; what lies outside counts for its nearest place in the box.
    """
    placed = [
        [_gain(value, direction, ends) for value, direction, ends in zip(row, directions, box, strict=True)]
        for row in values
    ]
    area, height = 0.0, 0.0
    for first, second in sorted(placed, key=lambda row: (-row[0], -row[1])):
        if second > height:
            area += first * (second - height)
            height = second
    return area


def hypervolume_over_time(
    trials: Sequence[tuple[float, tuple[float, float] | None]], directions: Sequence[str]
) -> list[HypervolumePoint]:
    """Return the dominated share after each trial; empty when no two outcomes differ in both objectives.

    The box is that of all outcomes, so that the curve is one of a study by itself: shares of two studies do not
    compare.

    Args:
        trials: Hours that each trial took and its two objectives (None without an outcome), in the order of their ends.
        directions: ``maximize`` or ``minimize`` for each objective.
    """
    known = [values for _, values in trials if values is not None]
    box = [(min(column), max(column)) for column in zip(*known, strict=True)]
    if not box or any(low == high for low, high in box):
        return []
    found, points, hours = [], [], 0.0
    for number, (taken, values) in enumerate(trials, start=1):
        hours += taken
        found += [values] if values is not None else []
        points.append(HypervolumePoint(number, hours, dominated_share(found, directions, box)))
    return points


def _gain(value: float, direction: str, ends: tuple[float, float]) -> float:
    low, high = ends
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return share if direction == "maximize" else 1.0 - share
