"""What a study would do, without starting anything."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hybridbatch.batching.plan import BatchPlan, PairSet
from hybridbatch.evaluation.leakage import find_overlap, refuse_overlap
from hybridbatch.foundation.errors import HybridBatchError, UserError
from hybridbatch.search.planned import planned_trials, resolve
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.sources import DataLocation


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
        training: ``steps``, ``pairs`` and ``evaluations`` of a full trial.
        resources: ``workers``, ``cpus``, ``gpus`` of a trial and ``concurrent`` trials on this machine alone.
        leakage: Statements about text shared between training and report sets.
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


def preview(experiment: Experiment, location: DataLocation, trials: int | None = None) -> Preview:
    """Return what a study would do; every check that ``run`` makes before the first trial is made here too.

    Raises:
        UserError: For whatever would keep the study from running.
    """
    plan = planned_trials(experiment, trials)
    train = [source.pairs(location) for source in experiment.data.train]
    selection = experiment.data.selection.task(location)
    report = [source.task(location) for source in experiment.data.report]
    allowed = experiment.data.allow_overlap.reason if experiment.data.allow_overlap else None
    overlap = refuse_overlap(find_overlap(train, report), allowed) if report else ()
    sets = [PairSet(pairs.name, pairs.languages, pairs.language_masks_I) for pairs in train]
    known = [
        {"number": number, "baseline": baseline.name, "params": baseline.values}
        for number, baseline in enumerate(plan.baselines)
    ]
    known += [
        {"number": len(known) + index, "baseline": None, "params": dict(point)} for index, point in enumerate(plan.grid)
    ]
    mixes = {baseline.name: resolve(experiment, plan, number, {}) for number, baseline in enumerate(plan.baselines)}
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
                "pairs": int((pairs.row_IL >= 0).sum()),
            }
            for pairs in train
        ],
        tasks=[
            {
                "role": role,
                "name": task.name,
                "languages": list(task.languages),
                "questions": len(task.questions),
                "candidates": len(task.candidates),
            }
            for role, task in [("selection", selection), *(("report", task) for task in report)]
        ],
        batches={name: _batches(resolved, sets) for name, resolved in (mixes or {"as written": experiment}).items()},
        training={
            "steps": steps,
            "pairs": steps * experiment.batches.size,
            "evaluations": -(-steps // experiment.training.evaluate_every),
        },
        resources=_resources(experiment),
        leakage=[*experiment.data.leakage, *overlap],
    )


def left_out(experiment: Experiment, location: DataLocation) -> list[str]:
    """Return which training sets, or languages of them, are too small for the batches of a study.

    Baselines, points of a grid and the experiment as written are looked at; what the search will choose is not known.
    Data that cannot be loaded here is passed over: a trial that needs it will say so.
    """
    try:
        plan = planned_trials(experiment)
        values = [*(baseline.values for baseline in plan.baselines), *plan.grid]
        known = [resolve(experiment, plan, number, params) for number, params in enumerate(values)]
        train = [source.pairs(location) for source in experiment.data.train]
    except HybridBatchError:
        return []
    if plan.total > len(known):
        known.append(experiment)
    sets = [PairSet(pairs.name, pairs.languages, pairs.language_masks_I) for pairs in train]
    # shares make no difference, and data may be large: the same kinds and size are planned once
    distinct = {
        (one.batches.size, frozenset(kind for kind, weight in one.batches.mix.items() if weight)) for one in known
    }
    found: set[str] = set()
    for size, kinds in distinct:
        with suppress(UserError):  # a kind that no set can fill: the trial fails with it
            found.update(BatchPlan(sets, size=size, mix=dict.fromkeys(kinds, 1.0), size_exponent=0, seed=0).left_out)
    return sorted(found)


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
    cpus = needs.workers * needs.cpus_per_worker
    fit = int((os.cpu_count() or 1) // cpus)
    return {
        "workers": needs.workers,
        "cpus": cpus,
        "gpus": needs.workers * needs.gpus_per_worker,
        "concurrent": min(fit, needs.max_concurrent or fit),
    }
