"""Every combination once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hybridbatch.foundation.registries import SAMPLERS
from hybridbatch.spec.search_space import AnyDistribution, Choice, IntegerRange
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    import optuna


@SAMPLERS.register("grid")
class GridSettings(Settings):
    """Every combination of listed values and whole numbers, each once, in the order of the file.

    The combination follows from the number of the searched trial alone, so that a resumed grid has no gap and no
    repeat.
    """

    learns: ClassVar[bool] = False

    kind: str

    def points(self, space: Mapping[str, AnyDistribution]) -> Iterator[dict[str, Any]]:
        """Return an iterator over all combinations; the last path varies fastest.

        Raises:
            TypeError: If a path has a real-valued distribution, of which there is no list.
        """
        axes = _axes(space)  # at once, not when the first point is asked for
        return (_point(axes, number) for number in range(self.size(space)))

    def size(self, space: Mapping[str, AnyDistribution]) -> int:
        """Return the number of combinations, without listing them.

        Raises:
            TypeError: As :meth:`points`.
        """
        return math.prod(len(values) for values in _axes(space).values())

    def build(self, seed: int, space: dict[str, AnyDistribution]) -> optuna.samplers.BaseSampler:
        """Return a sampler for values that the grid does not fix; the ledger gives each trial its grid point."""
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


def _axes(space: Mapping[str, AnyDistribution]) -> dict[str, Sequence[Any]]:
    """Return the values of each path; whole numbers as a range, which takes no memory however long it is."""
    axes: dict[str, Sequence[Any]] = {}
    for path, distribution in space.items():
        if isinstance(distribution, Choice):
            axes[path] = distribution.choice
        elif isinstance(distribution, IntegerRange):
            axes[path] = range(distribution.integer[0], distribution.integer[1] + 1)
        else:
            raise TypeError(f"the grid sampler needs choice or integer, but search.space.{path} is a real range")
    return axes


def _point(axes: Mapping[str, Sequence[Any]], number: int) -> dict[str, Any]:
    """Return a combination by its number, of which each axis is a digit."""
    values: list[Any] = []
    for axis in reversed(list(axes.values())):
        number, digit = divmod(number, len(axis))
        values.append(axis[digit])
    return dict(zip(axes, reversed(values), strict=True))
