"""When a search ends before its last trial."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybridbatch.spec.settings import Settings


class Stop(Settings):
    """When a search ends early: as soon as little can still be gained, by a bound on the regret (arXiv 2104.08166).

    Attributes:
        improvement: What is not worth further trials, in units of the objective, such as the spread over seeds.
        minimum_trials: Complete trials of the search, in its space and within all constraints, before it is asked for.
    """

    improvement: Annotated[float, Field(gt=0)]
    minimum_trials: Annotated[int, Field(ge=5)] = 20
