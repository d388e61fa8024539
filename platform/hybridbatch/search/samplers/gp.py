"""Gaussian processes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hybridbatch.foundation.registries import SAMPLERS
from hybridbatch.spec.search_space import AnyDistribution
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    import optuna


@SAMPLERS.register("gp")
class GaussianProcessSettings(Settings):
    """Bayesian optimisation with Gaussian processes, for few and costly trials (Optuna's GPSampler).

    Expected improvement, of the hypervolume with several objectives (arXiv 2310.20708, arXiv 2006.05078). It learns
    from complete trials alone, not from pruned ones, and takes longer to choose than the other samplers: some seconds
    after a hundred trials.

    Attributes:
        startup_trials: Complete trials, drawn at random, before the model is asked.
    """

    learns: ClassVar[bool] = True

    kind: str
    startup_trials: Annotated[int, Field(ge=2)] = 8

    def build(self, seed: int, space: dict[str, AnyDistribution]) -> optuna.samplers.BaseSampler:
        """Return Optuna's sampler."""
        made: optuna.samplers.BaseSampler = _sampler_class()(
            n_startup_trials=self.startup_trials,
            deterministic_objective=False,
            warn_independent_sampling=False,  # before the model is asked
            seed=seed,
        )
        return made


@cache
def _sampler_class() -> Any:
    """Return Optuna's sampler for a space that is given; made here, since Optuna is imported when it is needed."""
    from optuna.samplers import GPSampler

    class OverGivenSpace(GPSampler):
        """Optuna's sampler expects every complete trial to have every path; baselines and older spaces may not.

        It also takes a trial that was interrupted while it was drawn for one at work beside itself.
        """

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            self._drawn = trial.number
            found: dict[str, Any] = super().sample_relative(study, trial, search_space)
            return found

        def _sample_relative_impl(
            self, study: Any, completed_trials: Any, running_trials: Any, search_space: Any
        ) -> dict[str, Any]:
            several = {path: distribution for path, distribution in search_space.items() if not distribution.single()}
            known = [trial for trial in completed_trials if several.keys() <= trial.params.keys()]
            if not several or len(known) < self._n_startup_trials:
                return {}
            others = [trial for trial in running_trials if trial.number != self._drawn]
            found: dict[str, Any] = super()._sample_relative_impl(study, known, others, several)
            return found

    return OverGivenSpace
