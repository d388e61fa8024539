"""How a study stands, for people and for scripts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from hybridbatch.foundation.errors import HybridBatchError
from hybridbatch.report.collect import collect
from hybridbatch.report.export import constraints_json
from hybridbatch.report.naming import measure_name, measure_text, number
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.session import ledger_url, load_study
from hybridbatch.spec.attempts import interruptions, repeated_steps
from hybridbatch.spec.constraints import Constraint
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.consoles import headline
from hybridbatch.terminal.next_step import resume_command
from hybridbatch.training.progress import read_progress

_BOUND = ("metric", "at_most", "at_least")


def study_status(home: HomeFolder, study: str) -> dict[str, Any]:
    """Return how a study stands.

    Keys: ``study``, ``trials`` (``complete``, ``pruned``, ``failed``, ``running``, ``waiting``), ``best`` (``number``,
    ``baseline``, ``params``, ``values`` by objective; null before the first complete trial that keeps to all
    constraints), ``constraints`` (``metric``, ``at_most``, ``at_least``, ``kept``: complete trials that keep to it),
    ``feasible`` (complete trials that keep to all), ``running`` (``number``,
    ``phase``, ``step``, ``steps``), ``interruptions`` (attempts at trials that were interrupted, by cause),
    ``repeated_steps``, ``objectives``, ``home``.
    """
    experiment = load_study(home, study)
    ledger = Ledger(experiment, ledger_url(experiment, home))
    folder = home.study(study)
    objectives = [objective.metric for objective in experiment.search.objectives]
    table = collect(folder)
    best = table.best.result if table.best else None
    running = []
    for trial in folder.trials():
        progress = read_progress(trial.progress)
        if progress is not None and trial.number in ledger.running():
            now = {"phase": progress.phase, "step": progress.step, "steps": progress.steps}
            running.append({"number": trial.number, **now})
    counts, attempts = vars(ledger.counts()), ledger.all_attempts()
    return {
        "study": study,
        "trials": counts,
        "best": None
        if best is None
        else {
            "number": best.number,
            "baseline": best.baseline,
            "params": best.params,
            "values": dict(zip(objectives, best.values or (), strict=True)),
        },
        "constraints": constraints_json(table),
        "feasible": sum(row.feasible for row in table.rows),
        "running": running,
        "interruptions": dict(sum((interruptions(one) for one in attempts), Counter[str]()).most_common()),
        "repeated_steps": sum(map(repeated_steps, attempts)),
        "objectives": objectives,
        "home": str(home.path),
    }


def all_states(home: HomeFolder) -> list[dict[str, Any]]:
    """Return :func:`study_status` of every study, by name; of one that cannot be read ``study`` and ``error``."""
    states = []
    for folder in home.studies():
        try:
            states.append(study_status(home, folder.name))
        except HybridBatchError as error:  # the others can still be looked at
            states.append({"study": folder.name, "error": error.render()})
    return states


def print_states(states: list[dict[str, Any]], home: HomeFolder, console: Console) -> None:
    """Print what :func:`all_states` returns."""
    for state in states:
        if "error" in state:
            console.print(Text.assemble((state["study"], "bold"), ("  cannot be read", "red")))
            console.print(state["error"])
        else:
            print_status(state, console)
    if not states:
        console.print(f"no study in {home.path}; `hybridbatch run FILE` makes one")


def print_status(state: dict[str, Any], console: Console) -> None:
    """Print what :func:`study_status` returns."""
    counts = ", ".join(f"{count} {name}" for name, count in state["trials"].items() if count)
    console.print(headline(state["study"], counts or "no trials"))
    for trial in state["running"]:
        console.print(f"trial {trial['number']}: {trial['phase']}, step {trial['step']} of {trial['steps']}")
    if state["interruptions"]:
        causes = ", ".join(f"{count} {cause.replace('_', ' ')}" for cause, count in state["interruptions"].items())
        repeated = f"; {state['repeated_steps']:,} steps done again" if state["repeated_steps"] else ""
        console.print(f"interrupted attempts: {causes}{repeated}")
    if state["constraints"]:
        bounds = ", ".join(Constraint(**{key: one[key] for key in _BOUND}).name for one in state["constraints"])
        console.print(f"{state['feasible']} of {state['trials']['complete']} complete trials keep to {bounds}")
    best = state["best"]
    if best:
        values = ", ".join(
            f"{measure_name(name)} {measure_text(name, value)}" for name, value in best["values"].items()
        )
        what = best["baseline"] or "  ".join(f"{path}={number(value)}" for path, value in best["params"].items())
        console.print(f"best: trial {best['number']} ({what}): {values}")
    if state["trials"]["waiting"] and not state["trials"]["running"]:
        resume = resume_command(HomeFolder(Path(state["home"])), state["study"])
        console.print(f"go on with: {resume}", style="yellow", soft_wrap=True)
