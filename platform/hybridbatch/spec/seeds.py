"""Seeds of trials that are to differ in nothing else."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from hybridbatch.spec.settings import rejected

Seed = Annotated[int, Field(ge=0)]


def _each_once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        problem = "a seed stands twice: equal trials would make the seed noise look smaller than it is"
        raise rejected(problem, seen=list(seeds), allowed="each seed once")
    return seeds


Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_each_once)]
