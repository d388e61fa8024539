"""Which of several outcomes nobody would exchange for another: the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence


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
