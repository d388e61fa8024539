"""NSGA-II."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hybridbatch.foundation.registries import SAMPLERS
from hybridbatch.spec.search_space import AnyDistribution
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


@SAMPLERS.register("nsga2")
class GeneticSettings(Settings):
    """Evolution by non-dominated sorting, for several objectives (Deb et al. 2002).

    Attributes:
        population: Trials in one generation.
    """

    learns: ClassVar[bool] = True

    kind: str
    population: Annotated[int, Field(ge=2)] = 20

    def build(self, seed: int, space: dict[str, AnyDistribution]) -> optuna.samplers.BaseSampler:
        """Return Optuna's sampler."""
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(population_size=self.population, seed=seed)

    def prepared(self, earlier: Sequence[FrozenTrial]) -> None:
        """Put complete trials of earlier studies into generations of their own, by number, before those of this one."""
        from optuna.samplers import NSGAIISampler
        from optuna.trial import TrialState

        complete = [trial for trial in earlier if trial.state == TrialState.COMPLETE]
        for index, trial in enumerate(complete):
            trial.system_attrs[NSGAIISampler._get_generation_key()] = index // self.population
