"""How a study stands, for people and for scripts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from hybridbatch.foundation.errors import HybridBatchError
from hybridbatch.report.baselines import Spread
from hybridbatch.report.collect import StudyTable, collect
from hybridbatch.report.export import constraints_json
from hybridbatch.report.naming import measure_name, measure_text, number
from hybridbatch.report.replicates import replicates_json
from hybridbatch.report.tables import spread_text
from hybridbatch.report.taken_text import taken_lines
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.session import load_study, open_ledger
from hybridbatch.spec.attempts import interruptions
from hybridbatch.spec.constraints import Constraint
from hybridbatch.spec.costs import Cost, cost_of, total
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.consoles import headline
from hybridbatch.terminal.early_end import early_end, how_to_go_on, never_begin, spent_text
from hybridbatch.terminal.next_step import resume_command
from hybridbatch.training.progress import Progress, read_progress

_MOST = 10  # trials whose losses are shown

_BOUND = ("metric", "at_most", "at_least")


def study_status(home: HomeFolder, study: str) -> dict[str, Any]:
    """Return how a study stands.

    Keys: ``study``, ``trials`` (``complete``, ``pruned``, ``failed``, ``running``, ``waiting``), ``best`` (``number``,
    ``baseline``, ``params``, ``values`` by objective; null before the first complete trial that keeps to all
    constraints), ``constraints`` (``metric``, ``at_most``, ``at_least``, ``kept``: complete trials that keep to it),
    ``feasible`` (complete trials that keep to all), ``running`` (``number``,
    ``phase``, ``step``, ``steps``), ``interruptions`` (attempts at trials that were interrupted, by cause),
    ``repeated_steps``, ``cost`` (``attempts``, ``steps``, ``repeated_steps``, ``seconds``, ``worker_hours``,
    ``lost_worker_hours``, ``gpu_hours``: :class:`~hybridbatch.spec.costs.Cost`), ``costs`` (the same by trial, with its
    ``number``), ``not_begun``, ``budget``, ``stopped`` (:func:`~hybridbatch.terminal.early_end.early_end`),
    ``replicates`` (null without; else ``asked``: how many contenders, ``seeds``, ``decided``: their numbers or null,
    and what :func:`~hybridbatch.report.replicates.replicates_json` returns), ``warm_start``
    (:meth:`~hybridbatch.spec.taken.Taken.entries`), ``objectives``, ``home``.
    """
    experiment = load_study(home, study)
    ledger = open_ledger(experiment, home)
    folder = home.study(study)
    objectives = [objective.metric for objective in experiment.search.objectives]
    table = collect(folder)
    best = table.best.result if table.best else None
    known = {trial.number: progress for trial in folder.trials() if (progress := read_progress(trial.progress))}
    in_hands = ledger.running()
    running = [
        {"number": number, "phase": now.phase, "step": now.step, "steps": now.steps}
        for number, now in known.items()
        if number in in_hands
    ]
    counts, attempts = vars(ledger.counts()), ledger.all_attempts()
    workers, gpus = experiment.resources.most_workers, experiment.resources.gpus_per_worker
    costs = {
        number: cost_of(made, workers, *_last_heard(known.get(number), number in in_hands), gpus)
        for number, made in enumerate(attempts)
        if made
    }
    whole = total(costs.values())
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
        "repeated_steps": whole.repeated_steps,
        "cost": whole._asdict(),
        "costs": [{"number": number, **cost._asdict()} for number, cost in costs.items()],
        **early_end(ledger),
        "replicates": _replicates(ledger, table),
        "warm_start": ledger.taken.entries(),
        "objectives": objectives,
        "home": str(home.path),
    }


def _replicates(ledger: Ledger, table: StudyTable) -> dict[str, Any] | None:
    asked = ledger.experiment.search.replicates
    if asked is None:
        return None
    decided = ledger.contenders()
    found = replicates_json(table) or {"contenders": [], "best_by_mean": None}
    chosen = list(decided.contenders) if decided else None
    return {"asked": asked.contenders, "seeds": list(asked.seeds), "decided": chosen, **found}


def _last_heard(progress: Progress | None, lasts: bool) -> tuple[datetime | None, int | None]:
    """Return until when an attempt that nobody ended is known to have lasted, and the last step that it is known of."""
    heard = datetime.fromtimestamp(progress.updated, UTC) if progress else None
    reached = progress.step if progress and progress.phase != "adapting" else None
    return datetime.now(UTC) if lasts else heard, reached


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
    _print_cost(state, console)
    if spent := spent_text(state):
        console.print(spent)
    for line in taken_lines(state["warm_start"]):
        console.print(line, soft_wrap=True)
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
    _print_replicates(state, console)
    _print_how_to_go_on(state, console)


def _print_replicates(state: dict[str, Any], console: Console) -> None:
    """Print the contenders over their seeds, and the best of them beside the best single trial."""
    if not state["replicates"]:
        return
    asked, decided = state["replicates"], state["replicates"]["decided"]
    if decided is None:
        console.print(
            f"after the search its best {asked['asked']} trials run again, with seeds {_listed(asked['seeds'])}"
        )
    elif not asked["contenders"]:
        console.print(f"contenders: trials {_listed(decided)}" if decided else "no trial contends: none is complete")
    for one in asked["contenders"]:
        spreads = ", ".join(
            f"{measure_name(metric)} {spread_text(metric, Spread(**spread))} (alone {measure_text(metric, alone)})"
            for metric, spread, alone in (
                (metric, one["spread"][metric], one["alone"][metric]) for metric in one["spread"]
            )
        )
        mark = "  ▲ best by the mean" if one["trial"] == asked["best_by_mean"] else ""
        console.print(f"contender: trial {one['trial']}, seeds {_listed(one['seeds'])}: {spreads}{mark}")


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _print_how_to_go_on(state: dict[str, Any], console: Console) -> None:
    home = HomeFolder(Path(state["home"]))
    resume = resume_command(home, state["study"])
    if held_back := how_to_go_on(state, home, state["study"], resume):
        console.print(held_back, style="yellow", soft_wrap=True)
    if state["trials"]["waiting"] > never_begin(state) and not state["trials"]["running"]:
        console.print(f"go on with: {resume}", style="yellow", soft_wrap=True)


def _print_cost(state: dict[str, Any], console: Console) -> None:
    """Print what all attempts cost, and those trials that lost most of it."""
    whole = Cost(**state["cost"])
    if not whole.attempts:  # of an older ledger
        return
    lost = f", {_hours(whole.lost_worker_hours)} of them lost" if whole.lost_worker_hours else ""
    console.print(f"cost: {whole.steps:,} steps, {_hours(whole.worker_hours)} worker-hours{lost}")
    costs = sorted(state["costs"], key=lambda cost: -cost["lost_worker_hours"])[:_MOST]
    for cost in costs:
        if cost["lost_worker_hours"]:
            text = f"  trial {cost['number']}: {cost['attempts']} attempts, {cost['repeated_steps']:,} steps done again"
            text += f", {_hours(cost['lost_worker_hours'])} of {_hours(cost['worker_hours'])} worker-hours lost"
            console.print(text)


def _hours(hours: float) -> str:
    return f"{hours:.3g}"
