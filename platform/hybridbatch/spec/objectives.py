"""What a search may optimise: every measure that an evaluation gives, and which way is better."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator, model_validator

from hybridbatch.foundation.registries import BIAS_METRICS, CONTRAST_METRICS, FAIRNESS_METRICS, RANKING_METRICS
from hybridbatch.spec.settings import Settings, rejected, unknown_name

Direction = Literal["maximize", "minimize"]

_BETTER: dict[str, Direction | None] = {"lower": "minimize", "higher": "maximize", "none": None}


def objective_directions() -> dict[str, Direction | None]:
    """Return every measure by name with the direction in which it gets better.

    ``map_multi`` gives ``maximize``, ``rank_distance`` gives ``minimize``. A measure whose aim lies in between, such as
    ``own_language_preference``, gives None: as an objective it needs a direction.
    """
    names: dict[str, Direction | None] = {}
    for metric in RANKING_METRICS.entries().values():
        names.update(dict.fromkeys(metric.summary_names, _BETTER[metric.direction]))
    for contrast in CONTRAST_METRICS.entries().values():
        names.update(dict.fromkeys(contrast.summary_names, "maximize"))
    for bias in BIAS_METRICS.entries().values():
        names[bias.name] = _BETTER[bias.direction]
    names.update(dict.fromkeys(FAIRNESS_METRICS.entries(), "maximize"))
    return names


class Objective(Settings):
    """A measure of the selection set, and which way is better.

    Attributes:
        metric: The measure.
        direction: Which way is better; left out, that of the measure: ``maximize`` for ``map_multi``, ``minimize`` for
            ``rank_distance``. ``own_language_preference`` has none of its own, so that it must be given.
    """

    metric: str
    direction: Direction = "maximize"  # for the ledger, which leaves out what stands at this value; see _own_direction

    @model_validator(mode="before")
    @classmethod
    def _own_direction(cls, content: Any) -> Any:
        if isinstance(content, dict) and "direction" not in content:
            metric = content.get("metric")
            directions = objective_directions()
            if isinstance(metric, str) and metric in directions:
                direction = directions[metric]
                if direction is None:
                    raise rejected(
                        f"{metric} has no better direction of its own",
                        at="direction",
                        allowed="maximize or minimize",
                        remedy="say which way the search is to go, or choose another metric",
                    )
                return {**content, "direction": direction}
        return content

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        names = objective_directions()
        if metric not in names:
            raise unknown_name("metric", metric, names)
        return metric
