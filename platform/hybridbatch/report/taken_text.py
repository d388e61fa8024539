"""What a study took from earlier ones, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hybridbatch.report.naming import counted

_MOST = 3  # trials that are named


def taken_lines(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Return what a study took from earlier ones, a sentence each.

    Args:
        entries: What :meth:`~hybridbatch.spec.taken.Taken.entries` returns.
    """
    return [line for entry in entries for line in _lines(entry)]


def _lines(entry: dict[str, Any]) -> Iterator[str]:
    name, points, learnt = entry["study"], entry["points"], entry["learnt"]
    if points:
        there = ", ".join(str(point["number"]) for point in points)
        first, last = points[0]["trial"], points[-1]["trial"]
        here = f"trials {first}–{last} try" if last > first else f"trial {first} tries"
        what = f"its trials {there}" if last > first else f"its trial {there}"
        yield f"from {name}: {here} the values of {what}{_left_out(entry['points_left_out'])}"
    if learnt:
        which = f"{len(learnt)} of its {counted(entry['finished'], 'finished trial')}"
        yield f"from {name}: the sampler learns from {which}{_left_out(entry['learnt_left_out'])}"


def _left_out(left_out: Sequence[dict[str, Any]]) -> str:
    return "".join(
        f"{', ' if index else '; left out: '}{_named(one)} ({one['why']})" for index, one in enumerate(left_out)
    )


def _named(left_out: dict[str, Any]) -> str:
    names = left_out["trials"][:_MOST]
    more = left_out["count"] - len(names)
    return ", ".join(map(str, names)) + (f" and {more} more" if more else "")
