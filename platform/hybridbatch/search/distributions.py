"""The search space in Optuna's terms: the one place where the two meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hybridbatch.spec.search_space import AnyDistribution, IntegerRange, LogUniform, Uniform


def to_optuna(distribution: AnyDistribution) -> BaseDistribution:
    """Return Optuna's distribution; both ends of a range are included on either side."""
    if isinstance(distribution, Uniform):
        return FloatDistribution(*distribution.uniform)
    if isinstance(distribution, LogUniform):
        return FloatDistribution(*distribution.log_uniform, log=True)
    if isinstance(distribution, IntegerRange):
        return IntDistribution(*distribution.integer, log=distribution.log)
    return CategoricalDistribution(distribution.choice)


def space_to_optuna(space: Mapping[str, AnyDistribution]) -> dict[str, BaseDistribution]:
    """Return the whole search space in Optuna's terms."""
    return {path: to_optuna(distribution) for path, distribution in space.items()}


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether the distribution can give ``value``."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False
