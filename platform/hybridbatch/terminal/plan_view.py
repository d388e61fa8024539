"""A plan as a person reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from hybridbatch.report.naming import counted, number
from hybridbatch.report.taken_text import taken_lines
from hybridbatch.search.preview import Preview
from hybridbatch.spec.experiment import Experiment
from hybridbatch.terminal.consoles import headline
from hybridbatch.terminal.early_end import limits_text


def print_plan(plan: Preview, experiment: Experiment, console: Console) -> None:
    """Print what a study would do."""
    console.print(headline(plan.study, experiment.question))
    _print_data(plan, console)
    _print_trials(plan, experiment, console)
    for line in taken_lines(plan.warm_start):
        console.print(line)
    _print_batches(plan, console)
    training, resources = plan.training, plan.resources
    pruning = f", pruning after {training['pruning']} of them" if training["pruning"] else ""
    console.print(
        f"A full trial: {training['steps']:,} steps of {experiment.batches.size} pairs = {training['pairs']:,} pairs, "
        f"{counted(training['evaluations'], 'evaluation')} on the selection set{pruning}",
    )
    if experiment.search.pruner and plan.searched and not training["pruning"]:
        console.print(
            "no trial will be pruned: search.pruner decides at evaluations before the last step, and there is none "
            "(training.evaluate_every, search.pruner.minimum_steps)",
            style="yellow",
        )
    gpus = f", {counted(resources['gpus'], 'GPU')}" if resources["gpus"] else ""
    console.print(
        f"Resources of a trial: {counted(resources['workers'], 'worker')}, {counted(resources['cpus'], 'CPU')}{gpus}; "
        f"on this machine alone {counted(resources['concurrent'], 'trial')} at a time",
    )
    if plan.budget:
        console.print(f"Budget: {limits_text(plan.budget)}; when any of it is spent, no further trial begins")
    if plan.stop:
        console.print(
            f"The search ends early when, after {plan.stop['minimum_trials']} complete trials, "
            f"less than {plan.stop['improvement']:g} can still be gained"
        )
    if plan.replicates:
        trials = counted(plan.replicates["trials"], "trial")
        console.print(f"After the search: {trials} more with further seeds, {plan.replicates['steps']:,} steps in all")
    for statement in plan.leakage:
        console.print(f"Leakage: {statement}")


def _print_data(plan: Preview, console: Console) -> None:
    table = _table("data", "role", "languages", "items", "pairs", "questions", "candidates", left=3)
    for one in plan.train:
        table.add_row(one["name"], "train", _languages(one), f"{one['items']:,}", f"{one['pairs']:,}", "", "")
    for one in plan.tasks:
        row = (f"{one['questions']:,}", f"{one['candidates']:,}")
        table.add_row(one["name"], one["role"], _languages(one), "", "", *row)
    console.print(table)
    console.print()


def _print_trials(plan: Preview, experiment: Experiment, console: Console) -> None:
    table = _table("trial", "baseline", "settings", left=3)
    for trial in plan.trials:
        settings = "  ".join(f"{path}={number(value)}" for path, value in trial["params"].items())
        table.add_row(str(trial["number"]), trial["baseline"] or "", settings)
    if plan.searched:
        first = len(plan.trials)
        searched = "  ".join(experiment.search.space) or "the experiment as written"
        table.add_row(_numbers(first, plan.searched), "", f"searched: {searched}")
    if plan.replicates:
        first = len(plan.trials) + plan.searched
        again = f"again: the best {plan.replicates['contenders']} of the search"
        seeds = ", ".join(map(str, plan.replicates["seeds"]))
        table.add_row(_numbers(first, plan.replicates["trials"]), "", f"{again}, with training.seed {seeds}")
    console.print(table)
    console.print()


def _numbers(first: int, count: int) -> str:
    return f"{first}–{first + count - 1}" if count > 1 else str(first)


def _print_batches(plan: Preview, console: Console) -> None:
    table = _table("batches of", "kinds", "epochs", left=3)
    alike: dict[str, list[str]] = {}
    for name, batches in plan.batches.items():
        alike.setdefault(json.dumps(batches, sort_keys=True), []).append(name)
    for names in alike.values():
        batches = plan.batches[names[0]]
        kinds = ", ".join(f"{share:.0%} {kind}" for kind, share in batches["kinds"].items())
        epochs = ", ".join(f"{kind}: {count:.1f}" for kind, count in batches["epochs"].items())
        table.add_row(", ".join(names), kinds, epochs)
    console.print(table)
    print_left_out(sorted({note for batches in plan.batches.values() for note in batches["left_out"]}), console)
    console.print()


def print_left_out(notes: Iterable[str], console: Console) -> None:
    """Warn of training data that no batch will hold."""
    for note in notes:
        console.print(f"left out: {note}", style="yellow")


def _languages(one: dict[str, Any]) -> str:
    return " ".join(one["languages"])


def _table(*headings: str, left: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < left else "right", overflow="fold")
    return table
