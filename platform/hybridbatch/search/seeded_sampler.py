"""A sampler whose every draw follows from (study seed, trial number): a restart changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from optuna.samplers import BaseSampler

from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.search.distributions import space_to_optuna
from hybridbatch.search.earlier_trials import WithEarlierTrials, as_trials
from hybridbatch.spec.experiment import Search
from hybridbatch.spec.taken import Learnt

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

SEED_BITS = 32  # what numpy's legacy generator, used by Optuna, takes


class DrawsTrials(Protocol):
    """What a registered sampler builds: Optuna's samplers are of this kind."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution], /
    ) -> dict[str, Any]:
        """Return values drawn together."""

    def sample_independent(self, study: Study, trial: FrozenTrial, path: str, one: BaseDistribution, /) -> Any:
        """Return a value drawn on its own."""

    def before_trial(self, study: Study, trial: FrozenTrial, /) -> None:
        """Prepare."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: Any, values: Any, /) -> None:
        """Take note of the outcome."""


def sampler_of(search: Search, learnt: Sequence[Learnt] = ()) -> SeededSampler:
    """Return the sampler of a study, which learns from trials of earlier ones, too."""
    sampler = cast(Any, search.sampler)
    earlier = as_trials(learnt, space_to_optuna(search.space))
    if hasattr(sampler, "prepared"):
        sampler.prepared(earlier)
    return SeededSampler(
        lambda seed: sampler.build(seed, search.space),
        search.seed,
        space_to_optuna(search.space),
        getattr(sampler, "multivariate", True),
        getattr(sampler, "one_sequence", False),
        earlier,
    )


class SeededSampler(BaseSampler):
    """Makes a fresh sampler for each trial, seeded by the study's seed and the trial's number.

    One sampler with one stream of random numbers would, after a restart, ask the points of its first trials again.

    Args:
        build: Makes a sampler from a seed.
        seed: Seed of the study.
        space: The whole search space, so that every trial is drawn from all of it.
        together: Whether the values of a trial are drawn together, by samplers that can; else each on its own.
        one_sequence: Whether all trials get the seed of the study and are told apart by their numbers alone.
        earlier: Trials of earlier studies that are learnt from; they are shown to samplers and to nobody else.
    """

    def __init__(
        self,
        build: Callable[[int], DrawsTrials],
        seed: int,
        space: dict[str, BaseDistribution],
        together: bool = True,
        one_sequence: bool = False,
        earlier: Sequence[FrozenTrial] = (),
    ) -> None:
        self._build, self._seed, self._space, self._together = build, seed, space, together
        self._one_sequence, self._earlier = one_sequence, earlier

    def _seen(self, study: Study) -> Study:
        """Return the study as samplers see it."""
        return cast("Study", WithEarlierTrials(study, self._earlier)) if self._earlier else study

    def _of(self, trial: FrozenTrial) -> DrawsTrials:
        number = () if self._one_sequence else (trial.number,)
        return self._build(derive_seed(self._seed, "sampler", *number) % (1 << SEED_BITS))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole space, or nothing; Optuna would take what all finished trials have in common."""
        return self._space if self._together else {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return values drawn together."""
        return self._of(trial).sample_relative(self._seen(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return one value drawn on its own: the same whether or not the values before it were drawn just now."""
        sampler, seen, value = self._of(trial), self._seen(study), None
        for path, distribution in self._space.items():
            if not distribution.single():
                value = sampler.sample_independent(seen, trial, path, distribution)
            if path == param_name:
                return value
        raise KeyError(param_name)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Let the trial's sampler prepare."""
        self._of(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: Any, values: Any) -> None:
        """Let the trial's sampler take note of the outcome."""
        self._of(trial).after_trial(study, trial, state, values)
