"""What a study would do, without starting anything."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from hybridbatch.batching.plan import BatchPlan, PairSet
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.checks import CheckedStudy, check_study
from hybridbatch.search.planned import resolve
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.taken import NOTHING, Taken


@dataclass(frozen=True)
class Preview:
    """What would run.

    Attributes:
        study: Name of the study.
        trials: One entry per trial whose settings are known before the search: ``number``, ``baseline``, ``params``.
        searched: Trials whose settings the search will choose.
        train: Training sets: ``name``, ``languages``, ``items``, ``pairs``.
        tasks: Selection and report sets: ``role``, ``name``, ``languages``, ``questions``, ``candidates``.
        batches: By trial (or the file's own mix): ``kinds`` (share of batches by kind and set), ``epochs``,
            ``left_out``.
        training: ``steps``, ``pairs`` and ``evaluations`` of a full trial, and after how many of these the pruner
            decides (``pruning``).
        resources: ``workers``, ``cpus``, ``gpus`` of a trial and ``concurrent`` trials on this machine alone.
        leakage: Statements about text shared between training and report sets.
        budget: What the study may use, by name; none without a limit.
        stop: When the search ends early (``improvement``, ``minimum_trials``); None tries all trials.
        replicates: Trials that run again after the search (``contenders``, ``seeds``, ``trials``: at most, ``steps``:
            of all of them); None without.
        warm_start: What is taken from earlier studies (:meth:`~hybridbatch.spec.taken.Taken.entries`).
    """

    study: str
    trials: list[dict[str, Any]]
    searched: int
    train: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    batches: dict[str, Any]
    training: dict[str, int]
    resources: dict[str, float]
    leakage: list[str]
    budget: dict[str, float]
    stop: dict[str, Any] | None
    replicates: dict[str, Any] | None
    warm_start: list[dict[str, Any]]


def preview(
    experiment: Experiment, location: DataLocation, trials: int | None = None, taken: Taken = NOTHING
) -> Preview:
    """Return what a study would do, after the checks that ``run`` makes, too.

    Args:
        experiment: The experiment.
        location: Where data lies.
        trials: Searched trials, in place of ``search.trials``.
        taken: What it takes from earlier studies.

    Raises:
        UserError: For whatever would keep the study from running.
    """
    checked = check_study(experiment, location, trials)
    plan, data = checked.plan, checked.data
    known = [
        {"number": number, "baseline": baseline.name, "params": baseline.values}
        for number, baseline in enumerate(plan.baselines)
    ]
    known += [
        {"number": len(known) + index, "baseline": None, "params": dict(point)}
        for index, point in enumerate(plan.grid or plan.enqueued)
    ]
    known += [{"number": number, "baseline": None, "params": dict(point)} for number, point in taken.points.items()]
    steps = experiment.training.steps
    return Preview(
        study=experiment.name,
        trials=known,
        searched=plan.total - len(known),
        train=[
            {
                "name": pairs.name,
                "languages": list(pairs.languages),
                "items": len(pairs.row_IL),
                "pairs": int(np.bitwise_count(pairs.language_masks_I).sum()),
            }
            for pairs in data.train
        ],
        tasks=[
            {
                "role": role,
                "name": task.name,
                "languages": list(task.languages),
                "questions": len(task.questions),
                "candidates": len(task.candidates),
            }
            for role, task in [("selection", data.selection), *(("report", task) for task in data.report)]
        ],
        batches=_mixes(experiment, checked),
        training={
            "steps": steps,
            "pairs": steps * experiment.batches.size,
            "evaluations": -(-steps // experiment.training.evaluate_every),
            "pruning": _rungs(experiment),
        },
        resources=_resources(experiment),
        leakage=list(data.leakage),
        budget=experiment.search.budget.limits if experiment.search.budget else {},
        stop=experiment.search.stop.model_dump() if experiment.search.stop else None,
        replicates=_replicates(experiment),
        warm_start=taken.entries(),
    )


def _replicates(experiment: Experiment) -> dict[str, Any] | None:
    asked = experiment.search.replicates
    if asked is None:
        return None
    return asked.model_dump(mode="json") | {"trials": asked.trials, "steps": asked.trials * experiment.training.steps}


def _rungs(experiment: Experiment) -> int:
    every, pruner = experiment.training.evaluate_every, cast(Any, experiment.search.pruner)
    if pruner is None:
        return 0
    return sum(pruner.is_rung(step, every) for step in range(every, experiment.training.steps, every))


def _mixes(experiment: Experiment, checked: CheckedStudy) -> dict[str, Any]:
    plan, sets = checked.plan, checked.data.pair_sets
    mixes = {baseline.name: resolve(experiment, plan, number, {}) for number, baseline in enumerate(plan.baselines)}
    if mixes:
        return {name: _batches(resolved, sets) for name, resolved in mixes.items()}
    try:
        return {"as written": _batches(experiment, sets)}
    except UserError:  # the search puts other values there
        return {one.name: _batches(one.experiment, sets) for one in checked.settings[:1]}


def _batches(experiment: Experiment, sets: list[PairSet]) -> dict[str, Any]:
    plan = BatchPlan(
        sets,
        size=experiment.batches.size,
        mix=experiment.batches.mix,
        size_exponent=experiment.data.size_exponent,
        seed=experiment.training.seed,
    )
    total = sum(experiment.batches.mix.values())
    kinds = {kind: weight / total for kind, weight in experiment.batches.mix.items() if weight}
    return {"kinds": kinds, "epochs": plan.epochs(experiment.training.steps), "left_out": plan.left_out}


def _resources(experiment: Experiment) -> dict[str, float]:
    needs = experiment.resources
    cpus, cores = needs.most_workers * needs.cpus_per_worker, os.cpu_count() or 1
    fit = int(cores // cpus) or int(cores >= needs.fewest_workers * needs.cpus_per_worker)
    return {
        "workers": needs.most_workers,
        "cpus": cpus,
        "gpus": needs.most_workers * needs.gpus_per_worker,
        "concurrent": min(fit, needs.max_concurrent or fit),
    }
