"""Further seeds for the best trials of a search."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from hybridbatch.spec.dotted_paths import overlap
from hybridbatch.spec.seeds import Seeds
from hybridbatch.spec.settings import Settings, rejected

SEED = "training.seed"


class Replicates(Settings):
    """More seeds for contenders: after the search its best trials run again, in full, once with each further seed.

    Attributes:
        contenders: How many: of the complete trials of the search that keep to all constraints the best by the
            objective, or in Pareto order with several. Baselines have ``baseline_seeds``.
        seeds: What stands at ``training.seed`` when they run again; all else is as it was.
    """

    contenders: Annotated[int, Field(ge=1, le=100)]
    seeds: Annotated[Seeds, Field(max_length=100)]

    @property
    def trials(self) -> int:
        """How many trials they are at most."""
        return self.contenders * len(self.seeds)


def refuse_replicates(replicates: Replicates | None, paths: Iterable[str], at: str) -> None:
    """Raise the error of a validator if no trial could be run again with other seeds.

    That the seeds are others than the file's is no matter of the experiment of a single trial:
    :func:`hybridbatch.spec.overrides.refused` looks at it.

    Args:
        replicates: What is asked for.
        paths: All that the search puts values at.
        at: Where the replicates stand.
    """
    if replicates is None:
        return
    searched = list(paths)
    if not searched:
        remedy = "leave replicates out; baselines have search.baseline_seeds"
        raise rejected("nothing is searched, so that no trial contends", at=at, remedy=remedy)
    if any(overlap(path, SEED) for path in searched):
        problem = "the seed is searched already: a trial with another seed would be another point of the search"
        raise rejected(problem, at=at, remedy=f"take {SEED} out of search.space, or leave replicates out")
