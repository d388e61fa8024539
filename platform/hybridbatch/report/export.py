"""A study for other programs: JSON with stable keys, and CSV.

Keys of ``compare --json``:

- ``study``: name.
- ``objectives``: list of ``metric``, ``direction``.
- ``counts``: trials by state: ``complete``, ``pruned``, ``failed``, ``unfinished``.
- ``constraints``: list of ``metric``, ``at_most``, ``at_least`` (one of them null), ``kept`` (complete trials that keep
  to it).
- ``best``: number of the best complete trial by the first objective that keeps to all constraints, or null.
- ``pareto``: numbers of the Pareto-optimal trials among those.
- ``trials``: list, by number: ``number``, ``baseline``, ``replicate_of`` (the contender that it runs again, or null),
  ``state``, ``reason``, ``seed``, ``best``, ``pareto``, ``feasible`` (complete, and keeps to all constraints),
  ``values`` (objective -> value, null unless complete), ``params`` (searched path -> value, also of baselines),
  ``selection`` (measure -> value, of the weights that were kept), ``report`` (data set -> measure -> value), ``steps``,
  ``best_step``, ``seconds`` (part -> seconds).
- ``rungs``: list of ``step``, ``metric``, ``trials``, ``tau``: rank correlation (Kendall's tau) of an objective at an
  evaluation with its final value, over complete trials; null where all have one value.
- ``baselines``: list of ``baseline``, ``dataset``, ``trials`` (their numbers), ``measures`` (measure -> ``mean``,
  ``deviation`` over seeds, ``seeds``).
- ``differences``: list of ``dataset``, ``measure``, ``first``, ``second``, ``difference`` (first - second),
  ``pooled_deviation`` over seeds, ``ratio`` (size of the difference in units of it).
- ``effects``: of every baseline against the first one, or null: ``control``, ``arms``, ``headline``, ``languages``,
  ``pairs`` (lists with the keys of ``comparisons`` in ``compare A B --json``; each list is one family of comparisons,
  ``first`` is the arm, ``second`` the control), ``notes``.
- ``replicates``: contenders over their seeds (:func:`~hybridbatch.report.replicates.replicates_json`), or null.
- ``leakage``: what is known of text shared between training and report sets.
- ``warm_start``: what was taken from each earlier study (:meth:`~hybridbatch.spec.taken.Taken.entries`).

Numbers that are not finite are null.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hybridbatch.report.baselines import baseline_differences, baseline_groups
from hybridbatch.report.effects import effects_json
from hybridbatch.report.replicates import replicates_json
from hybridbatch.report.rung_correlation import rung_correlations

if TYPE_CHECKING:
    from hybridbatch.report.collect import StudyTable, TrialRow
    from hybridbatch.report.effects import ArmEffects


def comparison_json(table: StudyTable, effects: ArmEffects | None = None) -> dict[str, Any]:
    """Return what ``compare --json`` prints; the module's text documents the keys."""
    groups = baseline_groups(table)
    plain = {
        "study": table.study,
        "objectives": [asdict(objective) for objective in table.objectives],
        "constraints": constraints_json(table),
        "counts": table.counts(),
        "best": table.best.result.number if table.best else None,
        "pareto": [row.result.number for row in table.rows if row.pareto],
        "trials": [_trial_json(table, row) for row in table.rows],
        "rungs": [asdict(one) for one in rung_correlations(table)],
        "baselines": [asdict(group) for group in groups],
        "differences": [asdict(one) for one in baseline_differences(groups)],
        "effects": effects_json(effects),
        "replicates": replicates_json(table),
        "leakage": leakage(table),
        "warm_start": table.taken.entries(),
    }
    content: dict[str, Any] = finite(plain)
    return content


def comparison_csv(table: StudyTable) -> str:
    """Return one CSV row a trial, with columns ``param:PATH``, ``selection:MEASURE``, ``report:SET:MEASURE``."""
    rows = [_flat(_trial_json(table, row)) for row in table.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def constraints_json(table: StudyTable) -> list[dict[str, Any]]:
    """Return the constraints of a study, and how many complete trials keep to each."""
    return [
        one.model_dump() | {"kept": sum(one.excess(row.selection) <= 0 for row in table.complete)}
        for one in table.constraints
    ]


def leakage(table: StudyTable) -> list[str]:
    """Return every statement on text shared between training and report sets, each once."""
    return list(dict.fromkeys(line for row in table.rows for line in row.result.leakage))


def _trial_json(table: StudyTable, row: TrialRow) -> dict[str, Any]:
    result = row.result
    names = [objective.metric for objective in table.objectives]
    return {
        "number": result.number,
        "baseline": result.baseline,
        "replicate_of": result.replicate_of,
        "state": result.state,
        "reason": result.reason,
        "seed": result.seed,
        "best": row.best,
        "pareto": row.pareto,
        "feasible": row.feasible,
        "values": dict(zip(names, result.values or [None] * len(names), strict=False)),
        "params": dict(row.placed),
        "selection": dict(row.selection),
        "report": {name: dict(of_set.summary) for name, of_set in result.report.items()},
        "steps": result.steps,
        "best_step": result.best_step,
        "seconds": dict(result.seconds),
    }


def _flat(trial: dict[str, Any]) -> dict[str, Any]:
    prefixes = {"values": "objective", "params": "param", "selection": "selection", "seconds": "seconds"}
    flat: dict[str, Any] = {}
    for key, value in trial.items():
        if key == "report":
            flat |= {f"report:{name}:{measure}": v for name, of_set in value.items() for measure, v in of_set.items()}
        elif key in prefixes:
            flat |= {f"{prefixes[key]}:{name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def finite(value: Any) -> Any:
    """Return a JSON-like value with null in place of numbers that are not finite."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
