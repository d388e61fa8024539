"""Finished trial folders as a run leaves them, for tests of what comes after: tracking and report.

The measures follow the shape that hybrid batches give: mono rises with the share of monolingual batches, cross falls.
``spec.json`` is written as JSON and not through the experiment class: no data set and no backbone need be there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from hybridbatch.foundation import atomic
from hybridbatch.spec.folders import StudyFolder, TrialFolder
from hybridbatch.spec.trial import CurvePoint, DatasetResult, Mixture, Rung, TrialResult, TrialState

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")  # XQuAD-R: 121 settings
MIX = "batches.mix.monolingual"
TEMPERATURE = "loss.temperature"
RUNG_STEPS = (100, 200, 300, 400)
_BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def experiment_json(name: str = "quickstart", *, bias_too: bool = True) -> dict[str, Any]:
    """Return an experiment as a study folder keeps it."""
    objectives = [{"metric": "map_multi", "direction": "maximize"}]
    if bias_too:
        objectives.append({"metric": "rank_distance", "direction": "minimize"})
    return {
        "name": name,
        "question": "Which share of monolingual batches is best for every language?",
        "data": {"train": [{"dataset": "world-facts"}], "size_exponent": 1.0, "selection": {"dataset": "facts-dev"}},
        "backbone": {"kind": "scratch", "layers": 2, "width": 128},
        "batches": {"size": 64, "mix": {"monolingual": 0.5, "crosslingual": 0.5}},
        "loss": {"temperature": 0.05, "directions": "both"},
        "training": {"steps": 400, "learning_rate": 0.0005, "seed": 0, "clip_norm": None},
        "search": {
            "trials": 8,
            "objectives": objectives,
            "space": {
                MIX: {"uniform": [0.0, 1.0], "complement": "batches.mix.crosslingual"},
                TEMPERATURE: {"log_uniform": [0.01, 0.2], "complement": None},
            },
        },
        "resources": {"workers": 1},
    }


def measures(alpha: float, noise: float = 0.0) -> dict[str, float]:
    """Return headline measures of a model trained with a share ``alpha`` of monolingual batches."""
    mono = 0.47 + 0.48 * (1 - (1 - alpha) ** 4) + noise
    cross = 0.2 + 0.25 * alpha * (1 - alpha) - 0.05 * alpha + noise
    distance = 256 + 30 * alpha + 670 * alpha**6 - 200 * noise
    return {
        "map_mono": mono,
        "map_cross": cross,
        "map_multi": 0.35 * cross + 0.25 * mono + noise,
        "recall1_mono": mono - 0.05,
        "recall1_cross": cross - 0.05,
        "recall10_multi": cross + 0.1,
        "rank_distance": distance,
    }


def dataset_result(
    name: str = "xquad-r", alpha: float = 0.5, noise: float = 0.0, languages: tuple[str, ...] = LANGUAGES
) -> DatasetResult:
    """Return the result on one data set, every cell filled."""
    summary = measures(alpha, noise)
    cells = {
        f"{a}-{b}": (summary["map_mono"] if a == b else summary["map_cross"]) - 0.01 * ((i + j) % 5)
        for i, a in enumerate(languages)
        for j, b in enumerate(languages)
    }
    return DatasetResult(
        dataset=name,
        questions=1190 * len(languages),
        candidates=1183 * len(languages),
        summary=summary,
        cells=cells,
        multi={language: summary["map_multi"] - 0.004 * i for i, language in enumerate(languages)},
        bias={language: summary["rank_distance"] + 2 * i for i, language in enumerate(languages)},
        answer_languages={
            a: {b: (1 - alpha) / len(languages) + alpha * (a == b) for b in languages} for a in languages
        },
        seconds=1.5,
    )


def trial_result(
    number: int,
    *,
    study: str = "quickstart",
    alpha: float = 0.5,
    temperature: float = 0.05,
    state: TrialState = "complete",
    baseline: str | None = None,
    seed: int = 0,
    reason: str | None = None,
    sets: tuple[str, ...] = ("xquad-r",),
    objectives: tuple[str, ...] = ("map_multi", "rank_distance"),
    languages: tuple[str, ...] = LANGUAGES,
) -> TrialResult:
    """Return the outcome of one trial; a pruned one has two rungs, a failed one none."""
    noise = 0.004 * float(np.random.default_rng(1000 * seed + number).standard_normal())
    final = measures(alpha, noise)
    steps = {"complete": 400, "pruned": 200, "failed": 37}[state]
    rungs = tuple(
        Rung(step=step, seconds=step / 40, train_loss=4.0 - step / 200, summary=_grown(final, step / 400))
        for step in RUNG_STEPS
        if step <= steps
    )
    complete = state == "complete"
    begin = _BEGIN + timedelta(minutes=number)
    return TrialResult(
        study=study,
        number=number,
        baseline=baseline,
        params={} if baseline else {MIX: alpha, TEMPERATURE: temperature},
        state=state,
        reason=reason,
        values=tuple(final[name] for name in objectives) if complete else None,
        seed=seed,
        steps=steps,
        best_step=rungs[-1].step if rungs else 0,
        rungs=rungs,
        report={name: dataset_result(name, alpha, noise, languages) for name in sets} if complete else {},
        mixture=Mixture(
            batches={"monolingual": round(alpha * steps), "crosslingual": steps - round(alpha * steps)},
            datasets={"world-facts": steps},
            pairs={f"{a}-{b}": 1 + 63 * (a == b) for a in languages for b in languages},
        ),
        seconds={"train": steps / 40, "evaluate": 2.0, "total": steps / 40 + 2.0},
        provenance={
            "git": {"revision": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
            "data": {"world-facts": "a1b2c3d4e5f60718", "xquad-r": "18f6e5d4c3b2a190"},
            "tokenizer": "99aabbccddeeff00",
            "packages": {"torch": "2.13.0", "optuna": "5.0.0", "mlflow": "3.17.2"},
            "threads": 1,
            "device": "cpu",
        },
        leakage=("world-facts: no report text stands in the training text",),
        started=begin.isoformat(),
        finished=(begin + timedelta(seconds=steps / 40 + 2)).isoformat(),
    )


def write_trial(study: StudyFolder, result: TrialResult, experiment: dict[str, Any] | None = None) -> TrialFolder:
    """Write the folder of a finished trial: spec, curve, result, and the score of every question."""
    folder = study.trial(result.number)
    given = experiment or experiment_json(study.name)
    alpha = result.mixture.batches["monolingual"] / max(result.steps, 1)
    mix = {"batches": {**given["batches"], "mix": {"monolingual": alpha, "crosslingual": 1 - alpha}}}
    spec = {"study": study.name, "number": result.number, "params": result.params, "baseline": result.baseline}
    atomic.write_json(folder.path / "spec.json", spec | {"experiment": given | mix})
    folder.write_curve(
        tuple(
            CurvePoint(step=step, loss=4 - step / 200, learning_rate=5e-4, temperature=0.05, pairs_per_second=2500.0)
            for step in range(10, result.steps + 1, 10)
        )
    )
    for name, of_set in result.report.items():
        _write_scores(folder.scores(name), of_set)
    folder.write_result(result)
    return folder


def write_study(path: Path, results: list[TrialResult], experiment: dict[str, Any] | None = None) -> StudyFolder:
    """Write a study with the trials given."""
    study = StudyFolder(path)
    given = experiment or experiment_json(study.name)
    atomic.write_json(study.experiment, given)
    for result in results:
        write_trial(study, result, given)
    return study


def sample_results(**options: Any) -> list[TrialResult]:
    """Return a study as the quickstart leaves it: 3 baselines with 2 seeds, 8 searched, 2 of them pruned, 1 failed."""
    results: list[TrialResult] = []
    for seed in (0, 1):
        for name, alpha in (("monolingual", 1.0), ("crosslingual", 0.0), ("hybrid", 0.5)):
            results.append(trial_result(len(results), alpha=alpha, baseline=name, seed=seed, **options))
    temperatures = (0.045, 0.021, 0.11, 0.06, 0.033, 0.075, 0.016, 0.027)
    for alpha, temperature in zip((0.31, 0.62, 0.44, 0.9, 0.12, 0.55, 0.71, 0.26), temperatures, strict=True):
        results.append(trial_result(len(results), alpha=alpha, temperature=temperature, **options))
    for alpha in (0.97, 0.03):
        reason = "map_multi in the lower half of its rung"
        results.append(trial_result(len(results), alpha=alpha, state="pruned", reason=reason, **options))
    reason = "the loss is not finite at step 37: lower training.learning_rate"
    results.append(trial_result(len(results), alpha=0.5, state="failed", reason=reason, **options))
    return results


def _grown(final: dict[str, float], share: float) -> dict[str, float]:
    return {name: value * (2 - share if name == "rank_distance" else share**0.5) for name, value in final.items()}


def _write_scores(path: Path, of_set: DatasetResult) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"question": [0, 1, 2], "language": list(of_set.multi)[:1] * 3, "ap_multi": [0.1, 0.5, 1.0]}
    pq.write_table(pa.table(rows), path)
