"""Every combination once."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

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

    kind: str

    def points(self, space: dict[str, AnyDistribution]) -> list[dict[str, Any]]:
        """Return all combinations.

        Raises:
            TypeError: If a path has a real-valued distribution, of which there is no list.
        """
        axes: list[list[Any]] = []
        for path, distribution in space.items():
            if isinstance(distribution, Choice):
                axes.append(list(distribution.choice))
            elif isinstance(distribution, IntegerRange):
                low, high = distribution.integer
                axes.append(list(range(low, high + 1)))
            else:
                raise TypeError(f"the grid sampler needs choice or integer, but search.space.{path} is a real range")
        return [dict(zip(space, values, strict=True)) for values in itertools.product(*axes)]

    def size(self, space: dict[str, AnyDistribution]) -> int:
        """Return the number of combinations, without listing them."""
        return math.prod(
            len(one.choice) if isinstance(one, Choice) else one.integer[1] - one.integer[0] + 1
            for one in space.values()
            if isinstance(one, Choice | IntegerRange)
        )

    def build(self, seed: int, space: dict[str, AnyDistribution]) -> optuna.samplers.BaseSampler:
        """Return a sampler for values that the grid does not fix; the ledger gives each trial its grid point."""
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)
