"""Which trials can be compared by their searched values, and on which scale these were searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hybridbatch.report.collect import MIX

if TYPE_CHECKING:
    from hybridbatch.report.collect import StudyTable, TrialRow


def is_logarithmic(table: StudyTable, path: str) -> bool:
    """Return whether a path was searched on a logarithmic scale."""
    stated = table.experiment.get("search", {}).get("space", {}).get(path, {})
    return bool(stated.get("log_uniform") or stated.get("log"))


def comparable(table: StudyTable) -> list[TrialRow]:
    """Return the complete trials that differ in searched values and seed alone: baselines may be among them."""
    search = table.experiment.get("search", {})
    space: dict[str, dict[str, Any]] = search.get("space", {})
    complements = {path: (space.get(path) or {}).get("complement") for path in table.searched}
    may_differ = {*table.searched, *complements.values(), "training.seed"}
    # Of a baseline the share of the mix is known, which is the weight itself where it has a complement.
    if all(complements[path] for path in table.searched if path.startswith(f"{MIX}.")):
        inside = {name for name, values in search.get("baselines", {}).items() if values.keys() <= may_differ}
    else:
        inside = set()
    return [
        row
        for row in table.complete
        if (not row.result.baseline or row.result.baseline in inside)
        and row.result.replicate_of is None  # chosen by their values, which would draw every fit
        and row.placed.keys() >= set(table.searched)
    ]
