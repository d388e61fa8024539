"""Contenders over their seeds: whether what looked best was good or lucky."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hybridbatch.report.baselines import BaselineGroup, Spread, groups_of, spread_of

if TYPE_CHECKING:
    from hybridbatch.report.collect import StudyTable, TrialRow


@dataclass(frozen=True)
class ContenderRuns:
    """One contender: a trial of the search, and its complete replicates with further seeds.

    Attributes:
        trial: The trial of the search.
        trials: Numbers of all complete runs of these settings, that one first.
        seeds: Their seeds.
        alone: The objectives of the trial of the search. It was chosen for them, so that they flatter it.
        spread: The objectives over all its seeds, by name.
        further: Their mean over the further seeds alone, which nothing was chosen by; empty before the first is over.
        feasible: Whether, in the mean over its seeds, it keeps to all constraints.
    """

    trial: int
    trials: tuple[int, ...]
    seeds: tuple[int, ...]
    alone: dict[str, float]
    spread: dict[str, Spread]
    further: dict[str, float]
    feasible: bool


def contender_runs(table: StudyTable) -> list[ContenderRuns]:
    """Return the contenders of a study, in order of their first replicate; none without replicates."""
    return [_runs(table, rows) for rows in _rows_of_contenders(table)]


def best_by_mean(table: StudyTable) -> ContenderRuns | None:
    """Return the contender with the best mean of the first objective; None where none ran with a further seed.

    Those count that ran with the most seeds and keep to all constraints in the mean: over fewer seeds a mean is more
    easily good by luck, and a contender of which a replicate failed is not sure to work.
    """
    runs = contender_runs(table)
    most = max((len(one.trials) for one in runs), default=0)
    among = [one for one in runs if len(one.trials) == most > 1 and one.feasible]
    first = table.objectives[0]
    sign = 1 if first.direction == "maximize" else -1
    return max(among, key=lambda one: (sign * one.spread[first.metric].mean, -one.trial), default=None)


def contender_groups(table: StudyTable) -> list[BaselineGroup]:
    """Return the contenders by report set, as baselines are returned."""
    named = {f"trial {rows[0].result.number}": rows for rows in _rows_of_contenders(table)}
    return groups_of(table, named)


def replicates_json(table: StudyTable) -> dict[str, Any] | None:
    """Return the contenders for programs, None where there are no replicates.

    Keys: ``contenders`` (list of ``trial``, ``trials``, ``seeds``, ``alone``, ``spread``: objective -> ``mean``,
    ``deviation``, ``seeds``; ``further``, ``feasible``: :class:`ContenderRuns`), ``best_by_mean`` (the trial of
    the search, or null).
    """
    runs = contender_runs(table)
    if not runs:
        return None
    best = best_by_mean(table)
    return {"contenders": [asdict(one) for one in runs], "best_by_mean": best.trial if best else None}


def _rows_of_contenders(table: StudyTable) -> list[list[TrialRow]]:
    complete = {row.result.number: row for row in table.complete}
    again: dict[int, list[TrialRow]] = {}
    for row in table.rows:
        if row.result.replicate_of is not None:
            again.setdefault(row.result.replicate_of, []).append(row)
    return [
        [complete[trial], *(row for row in rows if row.result.number in complete)]
        for trial, rows in again.items()
        if trial in complete
    ]


def _runs(table: StudyTable, rows: list[TrialRow]) -> ContenderRuns:
    names = [objective.metric for objective in table.objectives]
    values = [dict(zip(names, row.result.values or (), strict=True)) for row in rows]
    bounded = {one.metric: fmean(row.selection.get(one.metric, math.nan) for row in rows) for one in table.constraints}
    return ContenderRuns(
        trial=rows[0].result.number,
        trials=tuple(row.result.number for row in rows),
        seeds=tuple(row.result.seed for row in rows),
        alone=values[0],
        spread={name: spread_of([one[name] for one in values]) for name in names},
        further={name: fmean(one[name] for one in values[1:]) for name in names} if len(rows) > 1 else {},
        feasible=all(one.excess(bounded) <= 0 for one in table.constraints),
    )
