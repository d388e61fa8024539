"""Known points of a search space, which are tried first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hybridbatch.foundation.errors import one_of
from hybridbatch.spec.search_space import AnyDistribution, Choice, IntegerRange, extremes
from hybridbatch.spec.settings import rejected, unknown_name


def refuse_outside(points: Sequence[Mapping[str, Any]], space: Mapping[str, AnyDistribution], at: str) -> None:
    """Raise the error of a validator if a point is empty, stands twice or lies outside the space.

    Args:
        points: Dotted path -> value; a point may leave paths out.
        space: Dotted path -> distribution.
        at: Where the points stand.
    """
    for index, point in enumerate(points):
        here = f"{at}.{index}"
        if not point or point in points[:index]:
            problem = "a point stands twice" if point else "a point without a value"
            raise rejected(problem, at=here, seen=point, allowed="each point once, with at least one searched path")
        for path, value in point.items():
            if path not in space:
                raise unknown_name("searched path", path, space, at=f"{here}.{path}")
            if not holds(space[path], value):
                problem = "the point lies outside the search space"
                raise rejected(problem, at=f"{here}.{path}", seen=value, allowed=_in_words(space[path]))


def holds(distribution: AnyDistribution, value: Any) -> bool:
    """Return whether the distribution may give ``value``, in the type that it gives."""
    if isinstance(distribution, Choice):
        return any(value == one and type(value) is type(one) for one in distribution.choice)
    kinds: tuple[type[int] | type[float], ...] = (int,) if isinstance(distribution, IntegerRange) else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return False
    low, high = cast(tuple[float, float], extremes(distribution))
    return low <= value <= high


def _in_words(distribution: AnyDistribution) -> str:
    """Return what the distribution may give, for messages."""
    if isinstance(distribution, Choice):
        return one_of(map(str, distribution.choice))
    low, high = extremes(distribution)
    return f"{'a whole number' if isinstance(distribution, IntegerRange) else 'a number'} from {low} to {high}"
