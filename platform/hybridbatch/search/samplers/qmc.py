"""Quasi-random search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hybridbatch.foundation.registries import SAMPLERS
from hybridbatch.spec.search_space import AnyDistribution
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@SAMPLERS.register("qmc")
class QuasiRandomSettings(Settings):
    """Points of one scrambled Sobol sequence (Owen 1998), which fill the space more evenly than random ones.

    Made for many trials at once, and as a comparison: a trial depends on no outcome. The n-th searched trial is the
    n-th point; a power of two of them is spread best.
    """

    learns: ClassVar[bool] = False
    one_sequence: ClassVar[bool] = True

    kind: str

    def build(self, seed: int, space: dict[str, AnyDistribution]) -> SobolSequence:
        """Return the sequence of a study."""
        return SobolSequence(seed)


class SobolSequence:
    """Gives each searched trial its point.

    Args:
        seed: What scrambles the sequence.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def sample_relative(self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """Return the values of a trial."""
        from scipy.stats.qmc import Sobol

        from hybridbatch.search.distributions import at_fraction
        from hybridbatch.search.planned import is_baseline

        baselines = sum(map(is_baseline, study.get_trials(deepcopy=False)))  # which come first
        several = {path: distribution for path, distribution in space.items() if not distribution.single()}
        if not several:
            return {}
        sequence = Sobol(len(several), scramble=True, rng=self._seed)
        if trial.number > baselines:  # scipy does not go forward by nothing
            sequence.fast_forward(trial.number - baselines)
        point = sequence.random(1)[0]
        return {path: at_fraction(several[path], fraction) for path, fraction in zip(several, point, strict=True)}

    def sample_independent(self, study: Study, trial: FrozenTrial, path: str, distribution: BaseDistribution) -> Any:
        """Refuse: a point is drawn as a whole."""
        raise AssertionError(f"{path} was not drawn with the others")

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Prepare nothing."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: Any, values: Any) -> None:
        """Note nothing: outcomes do not count."""
