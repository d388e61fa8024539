"""What a study begins with from earlier studies of the same ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from hybridbatch.foundation.errors import one_of
from hybridbatch.foundation.registries import SAMPLERS
from hybridbatch.spec.names import NAME_PATTERN
from hybridbatch.spec.settings import Settings, rejected

MOST_POINTS = 100  # of one study: they are kept in the ledger


class WarmStart(Settings):
    """An earlier study of the same ledger, and what is taken from it when this study is first opened.

    Attributes:
        study: Its name.
        points: How many of its best points are tried first, as trials of this study: the best by its first objective,
            or in Pareto order where it has several; those that keep to all of its constraints, if it has some.
        learn: Whether the sampler learns from its finished trials as if they were this study's. Both have to be the
            same experiment but for what is searched, or the values would not compare.
    """

    study: Annotated[str, Field(pattern=NAME_PATTERN)]
    points: Annotated[int, Field(ge=0, le=MOST_POINTS)] = 0
    learn: bool = False


def refuse_warm_start(entries: Sequence[WarmStart], space: object, sampler: Any, at: str) -> None:
    """Raise the error of a validator if a study cannot begin with what ``entries`` ask for.

    Args:
        entries: What is to be taken.
        space: The search space.
        sampler: Settings of the sampler.
        at: Where the entries stand.
    """
    if entries and not space:
        raise rejected("nothing is searched that could begin with anything", at=at, remedy="leave warm_start out")
    names = [entry.study for entry in entries]
    for index, entry in enumerate(entries):
        here = f"{at}.{index}"
        if entry.study in names[:index]:
            raise rejected("a study stands twice", at=f"{here}.study", seen=entry.study, allowed="each study once")
        if not entry.points and not entry.learn:
            remedy = (
                "say how many points are tried first (`points: 5`), that the sampler learns (`learn: true`), or both"
            )
            raise rejected("nothing is taken from this study", at=here, seen=entry.study, remedy=remedy)
        if entry.points and sampler.kind == "grid":
            problem = "the grid has every point already, in an order of its own"
            raise rejected(problem, at=f"{here}.points", remedy="leave warm_start out, or take another sampler")
        if entry.learn and not sampler.learns:
            raise rejected(
                f"the sampler {sampler.kind} learns from no trial, whatever study it is of",
                at=f"{here}.learn",
                allowed="false",
                remedy=f"take a sampler that learns ({one_of(_that_learn())}), or the points alone",
            )


def _that_learn() -> list[str]:
    return [name for name, kind in SAMPLERS.entries().items() if kind.learns]
