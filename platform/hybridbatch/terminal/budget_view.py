"""What a study spent of its budget, and how to go on when it is spent."""

from __future__ import annotations

from typing import Any

from hybridbatch.search.ledger import Ledger
from hybridbatch.spec.budget import Spent
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.next_step import command

_NAMES = {"hours": "hours", "worker_hours": "worker-hours", "gpu_hours": "GPU-hours"}


def budget_state(ledger: Ledger) -> dict[str, Any] | None:
    """Return how a study stands to its budget, None without one.

    Keys: ``limits`` and ``spent`` (both by name: ``hours``, ``worker_hours``, ``gpu_hours``; in ``spent`` all of them),
    ``is_spent`` (whether no further trial begins), ``not_begun`` (planned trials that did not begin).
    """
    budget = ledger.experiment.search.budget
    if budget is None:
        return None
    spent = ledger.spent()
    return {
        "limits": budget.limits,
        "spent": spent._asdict(),
        "is_spent": budget.is_spent(spent),
        "not_begun": ledger.not_begun(),
    }


def budget_text(state: dict[str, Any]) -> str:
    """Return the line that says what :func:`budget_state` returned."""
    parts = (f"{state['spent'][name]:.3g} of {limit:g} {_NAMES[name]}" for name, limit in state["limits"].items())
    return f"budget: {', '.join(parts)}"


def limits_text(limits: dict[str, float]) -> str:
    """Return a budget in words, ``2 hours, 16 GPU-hours``."""
    return ", ".join(f"{limits[name]:g} {_NAMES[name]}" for name in Spent._fields if name in limits)


def spent_text(state: dict[str, Any] | None, home: HomeFolder, study: str, resume: str) -> str | None:
    """Return what to say when no further trial begins, None when that is not so."""
    if state is None or not state["is_spent"] or not state["not_begun"]:
        return None
    extend = command(home, "extend", study, "--file", "FILE")
    return (
        f"the budget is spent: {state['not_begun']} planned trials were not begun. To go on, raise search.budget in "
        f"the experiment file: {extend}, then: {resume}"
    )
