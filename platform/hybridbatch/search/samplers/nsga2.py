"""NSGA-II."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hybridbatch.foundation.registries import SAMPLERS
from hybridbatch.spec.search_space import AnyDistribution
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    import optuna


@SAMPLERS.register("nsga2")
class GeneticSettings(Settings):
    """Evolution by non-dominated sorting, for several objectives (Deb et al. 2002).

    Attributes:
        population: Trials in one generation.
    """

    kind: str
    population: Annotated[int, Field(ge=2)] = 20

    def build(self, seed: int, space: dict[str, AnyDistribution]) -> optuna.samplers.BaseSampler:
        """Return Optuna's sampler."""
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(population_size=self.population, seed=seed)
