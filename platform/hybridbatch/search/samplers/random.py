"""Random search."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hybridbatch.foundation.registries import SAMPLERS
from hybridbatch.spec.search_space import AnyDistribution
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    import optuna


@SAMPLERS.register("random")
class RandomSettings(Settings):
    """Every trial drawn independently from the search space (Bergstra and Bengio 2012)."""

    learns: ClassVar[bool] = False

    kind: str

    def build(self, seed: int, space: dict[str, AnyDistribution]) -> optuna.samplers.BaseSampler:
        """Return Optuna's sampler."""
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)
