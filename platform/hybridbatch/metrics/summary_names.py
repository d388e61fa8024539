"""The names of every measure that an evaluation reports, and which way is better."""

from __future__ import annotations

from typing import Literal

from hybridbatch.foundation.registries import BIAS_METRICS, RANKING_METRICS

SummaryDirection = Literal["maximize", "minimize", "none"]

_OF_BIAS: dict[str, SummaryDirection] = {"lower": "minimize", "higher": "maximize", "none": "none"}


def summary_names() -> dict[str, SummaryDirection]:
    """Return every summary name with the direction in which it gets better.

    ``map_multi`` gives ``maximize``, ``rank_distance`` gives ``minimize``. A measure whose aim lies in between, such as
    ``own_language_preference``, gives ``none``: it is reported but cannot be an objective without naming a direction.
    """
    names: dict[str, SummaryDirection] = {}
    for metric in RANKING_METRICS.entries().values():
        names.update(dict.fromkeys(metric.summary_names, "maximize"))
    for bias in BIAS_METRICS.entries().values():
        names[bias.name] = _OF_BIAS[bias.direction]
    return names
