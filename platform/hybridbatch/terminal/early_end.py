"""What a study spent of its budget, why planned trials did not begin, and how to go on."""

from __future__ import annotations

from typing import Any

from hybridbatch.search.ledger import Ledger
from hybridbatch.spec.budget import Spent
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.next_step import command

_NAMES = {"hours": "hours", "worker_hours": "worker-hours", "gpu_hours": "GPU-hours"}


def early_end(ledger: Ledger) -> dict[str, Any]:
    """Return what may end a study before its last planned trial.

    Keys: ``not_begun`` (planned trials that nobody ever worked on), ``search_not_begun`` (those of the search and
    baselines among them), ``search_over`` (whether contenders are decided, so that none of these begins), ``budget``
    (``limits`` and ``spent`` by name: ``hours``, ``worker_hours``, ``gpu_hours``; ``is_spent``; null without one),
    ``stopped`` (``bound``, ``improvement``, ``trials``, ``at``:
    :meth:`~hybridbatch.search.stop_rule.StopRule.decision`).
    """
    budget, state = ledger.experiment.search.budget, None
    if budget is not None:
        spent = ledger.spent()
        state = {"limits": budget.limits, "spent": spent._asdict(), "is_spent": budget.is_spent(spent)}
    return {
        "not_begun": ledger.not_begun(),
        "search_not_begun": ledger.search_not_begun(),
        "search_over": ledger.contenders() is not None,
        "budget": state,
        "stopped": ledger.stopped(),
    }


def limits_text(limits: dict[str, float]) -> str:
    """Return a budget in words, ``2 hours, 16 GPU-hours``."""
    return ", ".join(f"{limits[name]:g} {_NAMES[name]}" for name in Spent._fields if name in limits)


def spent_text(state: dict[str, Any]) -> str | None:
    """Return what is spent of the budget, None without one; ``state`` is what :func:`early_end` returned."""
    budget = state["budget"]
    if budget is None:
        return None
    parts = (f"{budget['spent'][name]:.3g} of {limit:g} {_NAMES[name]}" for name, limit in budget["limits"].items())
    return f"budget: {', '.join(parts)}"


def never_begin(state: dict[str, Any]) -> int:
    """Return how many planned trials nobody will begin as things stand."""
    if state["budget"] and state["budget"]["is_spent"]:
        return int(state["not_begun"])
    return int(state["search_not_begun"]) if state["stopped"] or state["search_over"] else 0


def how_to_go_on(state: dict[str, Any], home: HomeFolder, study: str, resume: str) -> str | None:
    """Return why planned trials never begin and what lets them; None when none is held back."""
    held = never_begin(state)
    if not held:
        return None
    stopped, reasons, remedies = state["stopped"], [], []
    if state["budget"] and state["budget"]["is_spent"]:
        reasons.append("the budget is spent")
        remedies.append("raise search.budget")
    if stopped:
        gain = f"{stopped['bound']:.3g} can still be gained, less than {stopped['improvement']:g}"
        reasons.append(f"after {stopped['trials']} complete trials at most {gain}")
        remedies.append("lower search.stop.improvement or leave search.stop out")
    if state["search_over"]:
        remedies = remedies[:-1] if stopped else remedies
        reasons.append("its contenders run with further seeds, so that the search is over")
    if not remedies:
        return f"{', and '.join(reasons)}: {held} planned trials were not begun"
    extend = command(home, "extend", study, "--file", "FILE")
    return (
        f"{', and '.join(reasons)}: {held} planned trials were not begun. To go on, {' and '.join(remedies)} in the "
        f"experiment file: {extend}, then: {resume}"
    )
