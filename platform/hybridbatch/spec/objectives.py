"""What a search may optimise: every measure that an evaluation gives."""

from __future__ import annotations

from hybridbatch.foundation.registries import BIAS_METRICS, RANKING_METRICS

SETTINGS = ("mono", "cross", "multi")


def objective_names() -> tuple[str, ...]:
    """Return the names of all measures, such as ``map_multi`` and ``rank_distance``."""
    ranking = (f"{name}_{setting}" for name in RANKING_METRICS.entries() for setting in SETTINGS)
    return (*ranking, *BIAS_METRICS.entries())
