"""Evolution strategy with an adapted covariance matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hybridbatch.foundation.registries import SAMPLERS
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.search_space import AnyDistribution
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@SAMPLERS.register("cma-es")
class CovarianceSettings(Settings):
    """Evolution strategy with an adapted covariance matrix (CMA-ES, arXiv 1604.00772), for a hundred trials and more.

    Nothing of its state is stored: it is computed anew before each trial from those that are over, in generations by
    number. Only their order counts, so that a pruned trial stands behind the complete ones of its generation, and
    several objectives count by their Pareto order. Choices are drawn at random. Baselines do not count.

    Attributes:
        population: Trials of one generation; None: 4 + 3 ln(numbers searched).
        spread: Standard deviation at the beginning, as a share of each range; the search starts in the middle.
    """

    learns: ClassVar[bool] = True

    kind: str
    population: Annotated[int, Field(ge=4)] | None = None
    spread: Annotated[float, Field(gt=0, le=1)] = 0.25

    def build(self, seed: int, space: dict[str, AnyDistribution]) -> CovarianceSampler:
        """Return the sampler of one trial."""
        return CovarianceSampler(seed, self)


class CovarianceSampler:
    """Draws one trial.

    Args:
        seed: Seed of the trial.
        settings: Settings of the strategy.
    """

    def __init__(self, seed: int, settings: CovarianceSettings) -> None:
        self._seed, self._settings = seed, settings

    def sample_relative(self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """Return the numbers of a trial; choices are left to :meth:`sample_independent`."""
        import numpy as np
        from cmaes import CMA
        from optuna.distributions import CategoricalDistribution

        from hybridbatch.search.distributions import at_fraction, contains, fraction_of
        from hybridbatch.search.outcomes import ranked
        from hybridbatch.search.planned import is_baseline

        numbers = {
            path: distribution
            for path, distribution in space.items()
            if not distribution.single() and not isinstance(distribution, CategoricalDistribution)
        }
        if not numbers:
            return {}
        over = [
            one
            for one in study.get_trials(deepcopy=False)
            if one.state.name in ("COMPLETE", "PRUNED")
            and not is_baseline(one)
            and all(path in one.params and contains(numbers[path], one.params[path]) for path in numbers)
        ]
        strategy = CMA(
            mean=np.full(len(numbers), 0.5),
            sigma=self._settings.spread,
            bounds=np.tile([0.0, 1.0], (len(numbers), 1)),
            population_size=self._settings.population,
            seed=self._seed,
        )
        size = strategy.population_size
        for start in range(0, len(over) - size + 1, size):
            generation = over[start : start + size]
            points = [
                np.array([fraction_of(numbers[path], one.params[path]) for path in numbers]) for one in generation
            ]
            strategy.tell(list(zip(points, map(float, ranked(generation, study.directions)), strict=True)))
        point = strategy.ask()
        return {path: at_fraction(numbers[path], float(share)) for path, share in zip(numbers, point, strict=True)}

    def sample_independent(self, study: Study, trial: FrozenTrial, path: str, distribution: BaseDistribution) -> Any:
        """Return a choice, drawn at random."""
        from optuna.samplers import RandomSampler

        seed = derive_seed(self._seed, path) % (1 << 32)  # not the numbers' own, from which these would follow
        return RandomSampler(seed=seed).sample_independent(study, trial, path, distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Prepare nothing."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: Any, values: Any) -> None:
        """Note nothing: what is told is in the study."""
