"""A study's folder as one table: a row for each finished trial, with the best and the Pareto-optimal ones marked.

Everything shown anywhere (``compare``, its JSON, the page) is taken from this table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.report.pareto import non_dominated
from hybridbatch.spec.constraints import Constraint
from hybridbatch.spec.folders import read_record
from hybridbatch.spec.taken import NOTHING, Taken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hybridbatch.spec.folders import StudyFolder, TrialFolder
    from hybridbatch.spec.trial import TrialResult

Direction = Literal["maximize", "minimize"]
MIX = "batches.mix"
BEST = "best"  # what the best trial of a study is called in place of its number


@dataclass(frozen=True)
class ObjectiveColumn:
    """An objective: a measure of the selection set, and which way is better."""

    metric: str
    direction: Direction


@dataclass(frozen=True)
class TrialRow:
    """One finished trial.

    Attributes:
        result: Its result.
        placed: The value that every searched path has in this trial, also for a baseline (whose ``params`` are empty).
        selection: Measures on the selection set for the weights that were kept.
        feasible: Whether it is complete and keeps to all constraints of the study.
        best: Whether it is the best feasible trial by the first objective; replicates are no candidates, since more
            tries would only make luck larger.
        pareto: Whether it is feasible and no feasible trial is better in one objective and at least as good in all
            others; without replicates.
    """

    result: TrialResult
    placed: dict[str, Any]
    selection: dict[str, float]
    feasible: bool = False
    best: bool = False
    pareto: bool = False

    @property
    def name(self) -> str:
        """The trial as people call it: ``7``, ``2 hybrid`` or, a replicate of 7, ``20 (7, seed 1)``."""
        if self.result.replicate_of is not None:
            return f"{self.result.number} ({self.result.replicate_of}, seed {self.result.seed})"
        return f"{self.result.number} {self.result.baseline}" if self.result.baseline else str(self.result.number)


@dataclass(frozen=True)
class StudyTable:
    """A study as a table.

    Attributes:
        study: Its name.
        experiment: The experiment as JSON, with every default written out.
        objectives: What was optimised.
        rows: Finished trials by number.
        unfinished: Numbers of trials that were started and have no result.
        constraints: What trials had to keep to.
        taken: What the study took from earlier ones.
    """

    study: str
    experiment: dict[str, Any]
    objectives: tuple[ObjectiveColumn, ...]
    rows: tuple[TrialRow, ...]
    unfinished: tuple[int, ...] = field(default=())
    constraints: tuple[Constraint, ...] = ()
    taken: Taken = NOTHING

    @property
    def complete(self) -> tuple[TrialRow, ...]:
        """The trials that ran to their end."""
        return tuple(row for row in self.rows if row.result.state == "complete" and row.result.values is not None)

    @property
    def best(self) -> TrialRow | None:
        """The best feasible trial by the first objective, None when there is none."""
        return next((row for row in self.rows if row.best), None)

    @property
    def searched(self) -> tuple[str, ...]:
        """The searched paths, the weights of the mix first."""
        paths = dict.fromkeys(path for row in self.rows for path in row.result.params)
        return tuple(sorted(paths, key=lambda path: (not path.startswith(MIX), path)))

    @property
    def report_sets(self) -> tuple[str, ...]:
        """The data sets reported on by any trial."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.result.report))

    def counts(self) -> dict[str, int]:
        """Return the number of trials by state, ``unfinished`` ones included."""
        states = dict.fromkeys(("complete", "pruned", "failed"), 0)
        for row in self.rows:
            states[row.result.state] += 1
        return states | {"unfinished": len(self.unfinished)}


def collect(study: StudyFolder) -> StudyTable:
    """Read a study's folder.

    Raises:
        UserError: If there is no such study.
    """
    if not study.path.exists():
        raise UserError("no study of this name", file=study.path, remedy="`hybridbatch status` lists the studies")
    experiment: dict[str, Any] = _shown(study) if study.experiment.exists() else {}
    rows, unfinished = [], []
    for folder in study.trials():
        result = folder.read_result()
        if result is None:
            unfinished.append(folder.number)
        else:
            rows.append((result, folder))
    paths = {path for result, _ in rows for path in result.params}
    objectives = _objectives(experiment, (result for result, _ in rows))
    constraints = tuple(map(Constraint.model_validate, experiment.get("search", {}).get("constraints", ())))
    table = [TrialRow(result, _placed(folder, result, paths), result.selection) for result, folder in rows]
    marked = _marked(table, objectives, constraints)
    return StudyTable(study.name, experiment, objectives, marked, tuple(unfinished), constraints, study.read_taken())


def best_trial(study: StudyFolder) -> TrialFolder:
    """Return the best feasible trial of a study by its first objective, which people call ``STUDY/best``.

    Raises:
        UserError: If there is no such study, no trial of it is complete, or none keeps to the constraints.
    """
    table = collect(study)
    if table.best is None and table.complete:
        raise UserError(
            "no complete trial of this study keeps to all constraints",
            file=study.path,
            path="search.constraints",
            seen=f"{study.name}/{BEST}",
            allowed=", ".join(one.name for one in table.constraints),
            remedy="name a trial by its number",
        )
    if table.best is None:
        raise UserError("no trial of this study is complete", file=study.path, seen=f"{study.name}/{BEST}")
    return study.trial(table.best.result.number)


def _objectives(experiment: dict[str, Any], results: Iterable[TrialResult]) -> tuple[ObjectiveColumn, ...]:
    stated = experiment.get("search", {}).get("objectives")
    if stated:
        return tuple(ObjectiveColumn(one["metric"], one["direction"]) for one in stated)
    length = max((len(result.values) for result in results if result.values), default=1)
    return tuple(ObjectiveColumn(f"objective {index + 1}", "maximize") for index in range(length))


def _placed(folder: TrialFolder, result: TrialResult, paths: set[str]) -> dict[str, Any]:
    file = folder.path / "spec.json"
    experiment = read_record(file, json.loads).get("experiment", {}) if file.exists() else {}
    found = {path: result.params.get(path, _look_up(experiment, path)) for path in sorted(paths)}
    return {path: value for path, value in found.items() if value is not None}


def _shown(study: StudyFolder) -> dict[str, Any]:
    """Return the experiment as it may be shown: without the passwords of stores."""
    shown: dict[str, Any] = read_record(study.experiment, lambda text: json.loads(hide_passwords(text)))
    return shown


def _look_up(experiment: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path; for a batch kind its share of the mix, 0 when the mix is without it."""
    if path.startswith(f"{MIX}."):
        mix = experiment.get("batches", {}).get("mix", {})
        total = sum(mix.values())
        return mix.get(path.removeprefix(f"{MIX}."), 0.0) / total if total else None
    value: Any = experiment
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return None
    return value


def _marked(
    rows: list[TrialRow], objectives: tuple[ObjectiveColumn, ...], constraints: tuple[Constraint, ...]
) -> tuple[TrialRow, ...]:
    directions = [objective.direction for objective in objectives]
    kept = {
        row.result.number
        for row in rows
        if row.result.values is not None and all(one.excess(row.selection) <= 0 for one in constraints)
    }
    feasible = [
        (row.result.number, row.result.values)
        for row in rows
        if row.result.values is not None and row.result.number in kept and row.result.replicate_of is None
    ]
    if not feasible:
        return tuple(replace(row, feasible=row.result.number in kept) for row in rows)
    sign = 1 if directions[0] == "maximize" else -1
    best = max(feasible, key=lambda entry: (sign * entry[1][0], -entry[0]))[0]
    front = non_dominated([values for _, values in feasible], directions)
    on_front = {number: optimal for (number, _), optimal in zip(feasible, front, strict=True)}
    return tuple(
        replace(
            row,
            feasible=row.result.number in kept,
            best=row.result.number == best,
            pareto=on_front.get(row.result.number, False),
        )
        for row in rows
    )
