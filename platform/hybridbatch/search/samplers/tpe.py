"""Tree-structured Parzen estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hybridbatch.foundation.registries import SAMPLERS
from hybridbatch.spec.search_space import AnyDistribution
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    import optuna


@SAMPLERS.register("tpe")
class TreeParzenSettings(Settings):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), for one or several objectives.

    Attributes:
        startup_trials: Trials drawn at random before the model is asked.
        multivariate: Whether parameters are modelled together (Falkner et al. 2018).
    """

    learns: ClassVar[bool] = True

    kind: str
    startup_trials: Annotated[int, Field(ge=1)] = 5
    multivariate: bool = True

    def build(self, seed: int, space: dict[str, AnyDistribution]) -> optuna.samplers.BaseSampler:
        """Return Optuna's sampler; every argument that Optuna 5 changed the default of is given."""
        from optuna.samplers import TPESampler

        return TPESampler(
            n_startup_trials=self.startup_trials,
            multivariate=self.multivariate,
            group=False,
            constant_liar=True,  # running trials count, or workers side by side would try the same point
            seed=seed,
        )
