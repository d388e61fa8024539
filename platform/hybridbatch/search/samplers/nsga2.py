"""NSGA-II."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

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
        made: optuna.samplers.BaseSampler = _sampler_class()(population_size=self.population, seed=seed)
        return made

    def prepared(self, earlier: Sequence[FrozenTrial]) -> None:
        """Put complete trials of earlier studies into generations of their own, by number, before those of this one."""
        from optuna.samplers import NSGAIISampler
        from optuna.trial import TrialState

        complete = [trial for trial in earlier if trial.state == TrialState.COMPLETE]
        for index, trial in enumerate(complete):
            trial.system_attrs[NSGAIISampler._get_generation_key()] = index // self.population


@cache
def _sampler_class() -> Any:
    """Return Optuna's sampler with parents in one order; made here, since Optuna is imported when it is needed."""
    from optuna.samplers import NSGAIISampler

    class InOneOrder(NSGAIISampler):
        """Optuna gives the parents of a generation as they were chosen to its first trial, by number to all others.

        A first trial that was interrupted while it was drawn would go on with other values.
        """

        def select_parent(self, study: Any, generation: int) -> Any:
            return sorted(super().select_parent(study, generation), key=lambda trial: trial.number)

    # Optuna makes these of the name of the class; studies of older versions have its own.
    InOneOrder._GENERATION_KEY = NSGAIISampler._GENERATION_KEY
    InOneOrder._PARENT_CACHE_KEY_PREFIX = NSGAIISampler._PARENT_CACHE_KEY_PREFIX
    return InOneOrder
