"""What a trial folder becomes in MLflow: parameters, metrics and tags. Pure: no MLflow in here.

Times follow from the result and not from the clock, so that the same folder always gives the same record.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.spec.attempts import interruptions, repeated_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hybridbatch.spec.attempts import Attempts
    from hybridbatch.spec.folders import TrialFolder
    from hybridbatch.spec.trial import CurvePoint, TrialResult

STUDY_TAG, TRIAL_TAG, RESULT_TAG = "hybridbatch.study", "hybridbatch.trial", "hybridbatch.result"
PROJECTED_TAG = "hybridbatch.projected"

PARAM_LIMIT, TAG_LIMIT, KEY_LIMIT = 6000, 8000, 250  # characters, as MLflow 3 checks them
_NOT_IN_KEYS = re.compile(r"[^\w\-. :/]")
_SECTIONS = ("data", "backbone", "batches", "loss", "training")  # what a trial's outcome depends on
_PRIVATE = ("host", "hostname", "node", "user", "username", "path", "cwd")
_LONG = ("packages", "package_lock", "lock")

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
_STATUS: dict[str, RunStatus] = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class MetricPoint:
    """One value of one metric.

    Attributes:
        key: Name, such as ``report/xquad-r/map_multi``.
        value: A finite number.
        step: Optimizer steps done.
        timestamp: Milliseconds since 1970.
    """

    key: str
    value: float
    step: int
    timestamp: int


@dataclass(frozen=True)
class RunRecord:
    """One MLflow run, as it has to be.

    Attributes:
        name: Name shown to people.
        trial: The deterministic tag that finds the run, ``"study/7"``.
        fingerprint: Fingerprint of the result that it was made from.
        status: How the run ended.
        started: Milliseconds since 1970.
        finished: Milliseconds since 1970.
        params: Parameters by name.
        searched: Those of them that the search chose for this trial.
        metrics: All values of all metrics.
        tags: Tags by name, without those that MLflow sets itself.
    """

    name: str
    trial: str
    fingerprint: str
    status: RunStatus
    started: int
    finished: int
    params: dict[str, str]
    searched: dict[str, str]
    metrics: tuple[MetricPoint, ...]
    tags: dict[str, str]


def trial_tag(study: str, number: int) -> str:
    """Return the tag by which the run of a trial is found."""
    return f"{study}/{number}"


def result_fingerprint(folder: TrialFolder) -> str:
    """Return the fingerprint of the result in ``folder``."""
    return fingerprint.of_files([folder.path / "result.json"])


def record_of(folder: TrialFolder, study: str) -> RunRecord:
    """Return the MLflow run that a finished trial's folder becomes.

    Raises:
        FileNotFoundError: If the trial is not finished.
    """
    result = folder.read_result()
    if result is None:
        raise FileNotFoundError(f"no result in {folder.path}")
    # A trial whose drawn values do not go together has none.
    experiment = atomic.read_json(folder.path / "spec.json").get("experiment", {}) if folder.has_spec() else {}
    started, finished = _milliseconds(result.started), _milliseconds(result.finished)
    attempts = folder.read_attempts()
    searched = {_key(path): _text(value)[:PARAM_LIMIT] for path, value in result.params.items()}
    return RunRecord(
        name=_run_name(result),
        trial=trial_tag(study, result.number),
        fingerprint=result_fingerprint(folder),
        status=_STATUS[result.state],
        started=started,
        finished=max(started, finished),
        params=experiment_params(experiment) | searched,
        searched=searched,
        metrics=_metrics(result, folder.read_curve(), experiment, started) + _attempts(attempts, result, started),
        tags=_tags(result, study) | _attempt_tags(attempts),
    )


def _run_name(result: TrialResult) -> str:
    name = f"trial {result.number:05d}"
    if result.replicate_of is not None:
        return f"{name} (again {result.replicate_of}, seed {result.seed})"
    return f"{name} {result.baseline}" if result.baseline else name


def experiment_params(experiment: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that decide a trial's outcome as MLflow parameters by dotted path."""
    chosen = {section: experiment[section] for section in _SECTIONS if section in experiment}
    return {_key(path): _text(value)[:PARAM_LIMIT] for path, value in flatten(chosen)}


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, leaf) of nested JSON; lists of plain values are leaves, None is left out."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flatten(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{path}.{index}")
    elif value is not None:
        yield path, value


def package_lock(provenance: Mapping[str, Any]) -> str:
    """Return the packages of a trial as lines ``name==version``; empty when the result holds none."""
    packages = next((provenance[name] for name in _LONG if provenance.get(name)), None)
    if isinstance(packages, dict):
        return "".join(f"{name}=={version}\n" for name, version in sorted(packages.items()))
    if isinstance(packages, list | tuple):
        return "".join(f"{line}\n" for line in packages)
    return f"{str(packages).rstrip()}\n" if packages else ""


def _tags(result: TrialResult, study: str) -> dict[str, str]:
    provenance = {path: value for path, value in flatten(dict(result.provenance)) if _may_be_told(path)}
    lock = package_lock(result.provenance)
    tags = {
        STUDY_TAG: study,
        "state": result.state,
        "seed": str(result.seed),
        "best_step": str(result.best_step),
        **{path: _text(value) for path, value in provenance.items()},
        "package_lock_fingerprint": fingerprint.of_texts([lock]) if lock else "",
        "mlflow.source.git.commit": str(provenance.get("git.revision", "")),
        "baseline": result.baseline or "",
        "replicate_of": "" if result.replicate_of is None else str(result.replicate_of),
        "reason": result.reason or "",
        "leakage": "\n".join(result.leakage),
        "left_out": "\n".join(result.mixture.left_out),
    }
    return {_key(name): hide_passwords(value)[:TAG_LIMIT] for name, value in tags.items() if value}


def _attempt_tags(attempts: Attempts) -> dict[str, str]:
    """Return what interrupted the trial, as ``worker_lost: 2, driver_lost: 1``; nothing when nothing did."""
    found = ", ".join(f"{cause}: {count}" for cause, count in interruptions(attempts).most_common())
    return {"interruptions": found} if found else {}


def _attempts(attempts: Attempts, result: TrialResult, moment: int) -> tuple[MetricPoint, ...]:
    if not attempts:  # of an older folder
        return ()
    values = {"attempts": len(attempts), "repeated_steps": repeated_steps(attempts)}
    return tuple(MetricPoint(name, float(value), result.best_step, moment) for name, value in values.items())


def _may_be_told(path: str) -> bool:
    parts = path.split(".")
    return parts[0] not in _LONG and parts[-1].lower() not in _PRIVATE


def _metrics(
    result: TrialResult, curve: tuple[CurvePoint, ...], experiment: Mapping[str, Any], started: int
) -> tuple[MetricPoint, ...]:
    steps, seconds = _clock(result)

    def point(key: str, value: float, step: int) -> MetricPoint:
        moment = started + int(1000 * float(np.interp(step, steps, seconds)))
        return MetricPoint(_key(key), float(value), step, moment)

    points = [point(f"train/{name}", value, at.step) for at in curve for name, value in _curve_values(at)]
    for rung in result.rungs:
        points += [point(f"selection/{name}", value, rung.step) for name, value in rung.summary.items()]
        if rung.train_loss is not None:
            points.append(point("selection/train_loss", rung.train_loss, rung.step))
    points += [point(key, value, result.best_step) for key, value in _final_values(result, experiment)]
    distinct = {(at.key, at.step): at for at in points if math.isfinite(at.value)}
    return tuple(distinct.values())


def _clock(result: TrialResult) -> tuple[list[int], list[float]]:
    """Return steps and the seconds at which they were done, from which the time of any other step is interpolated."""
    marks = {0: 0.0, result.steps: result.seconds.get("train", 0.0)} | {at.step: at.seconds for at in result.rungs}
    steps = sorted(marks)
    return steps, [marks[step] for step in steps]


def _curve_values(at: CurvePoint) -> Iterator[tuple[str, float]]:
    yield "loss", at.loss
    yield "learning_rate", at.learning_rate
    yield "temperature", at.temperature
    yield "pairs_per_second", at.pairs_per_second
    yield from ((f"loss_of/{name}", value) for name, value in at.terms.items())


def _final_values(result: TrialResult, experiment: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    objectives = experiment.get("search", {}).get("objectives", [])
    for objective, value in zip(objectives, result.values or (), strict=False):
        yield f"objective/{objective['metric']}", value
    for name, of_set in result.report.items():
        sides = {"": of_set.summary, "map/": of_set.cells, "multi/": of_set.multi, "bias/": of_set.bias}
        for side, values in sides.items():
            yield from ((f"report/{name}/{side}{key}", value) for key, value in values.items())
        yield f"report/{name}/seconds", of_set.seconds
    for part, counts in result.mixture.model_dump(exclude={"left_out"}).items():
        yield from ((f"mixture/{part}/{key}", count) for key, count in counts.items())
    yield from ((f"seconds/{part}", value) for part, value in result.seconds.items())


def _milliseconds(iso: str) -> int:
    return int(1000 * datetime.fromisoformat(iso).timestamp())


def _key(name: str) -> str:
    return _NOT_IN_KEYS.sub("_", name)[:KEY_LIMIT]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
