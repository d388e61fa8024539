"""A study whose trials take a fraction of a second: three made-up languages, one layer of width 16."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.reader import validate
from hybridbatch.spec.trial import Mixture, Rung, TrialResult, TrialState

LANGUAGES = ("de", "en", "es")
_ASKING = {"de": "wo ist der ort von", "en": "where is the place of", "es": "donde esta el lugar de"}
_STATING = {"de": "liegt bei", "en": "lies next to", "es": "queda junto a"}
_ITEMS = 60
BITEXT = "small_bitext.csv"

CONTENT: dict[str, Any] = {
    "name": "small",
    "question": "Does anything get lost?",
    "data": {
        "train": [{"dataset": "parallel-pairs", "path": "small.csv", "split": "train", "dev_share": 0.3}],
        "selection": {"dataset": "parallel-pairs", "path": "small.csv", "split": "dev", "dev_share": 0.3},
        "report": [{"dataset": "parallel-pairs", "path": "small_report.csv"}],
    },
    "backbone": {
        "kind": "scratch",
        "layers": 1,
        "width": 16,
        "heads": 2,
        "feed_forward": 16,
        "vocabulary": 400,
        "question_tokens": 24,
        "passage_tokens": 24,
    },
    "batches": {"size": 8, "mix": {"monolingual": 0.5, "crosslingual": 0.5}},
    "training": {"steps": 6, "learning_rate": 0.01, "evaluate_every": 2},
    "search": {
        "trials": 3,
        "baselines": {"mono": {"batches.mix.monolingual": 1.0, "batches.mix.crosslingual": 0.0}},
        "space": {"loss.temperature": {"log_uniform": [0.02, 0.2]}},
        "sampler": {"kind": "random"},
    },
}


def content(changes: dict[str, Any] | None = None, name: str = "small") -> dict[str, Any]:
    """Return the content of the experiment file with ``changes`` (dotted path -> value) in place."""
    made: dict[str, Any] = copy.deepcopy(CONTENT)
    for path, value in {"name": name, **(changes or {})}.items():
        here = made
        *parents, leaf = path.split(".")
        for part in parents:
            here = here.setdefault(part, {})
        here[leaf] = value
    return made


def experiment(changes: dict[str, Any] | None = None, name: str = "small") -> Experiment:
    """Return the experiment with ``changes`` in place."""
    return validate(content(changes, name))


def write_file(folder: Path, changes: dict[str, Any] | None = None, name: str = "small") -> Path:
    """Write the experiment file into ``folder``; return it."""
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content(changes, name), allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file


def write_data(folder: Path) -> Path:
    """Write the data files into ``folder``; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, first in (("small.csv", 0), ("small_report.csv", 1000)):
        rows = ["item,language,query,passage"]
        for item in range(first, first + _ITEMS):
            for language in LANGUAGES:
                thing, place = f"thing{item * 7919 % 10007}", f"spot{item * 104729 % 10009}"
                rows.append(
                    f"{item},{language},{_ASKING[language]} {thing},{thing} {_STATING[language]} {place} {language}"
                )
        (folder / file).write_text("\n".join(rows) + "\n", encoding="utf-8")
    write_bitext(folder)
    return folder


def write_bitext(folder: Path) -> None:
    """Write sentences and their translations into ``folder``."""
    sentences = [
        f"{item},{language},{_STATING[language]} thing{item * 7919 % 10007}" + f" {language}" * (item % 5)
        for item in range(2000, 2000 + _ITEMS)
        for language in LANGUAGES
    ]
    (folder / BITEXT).write_text("\n".join(["item,language,text", *sentences]) + "\n", encoding="utf-8")


def write_listed(folder: Path) -> None:
    """Write training data whose rows list up to three negatives each, in ``listed.jsonl`` in ``folder``."""
    rows = []
    for item in range(40):
        for number, language in enumerate(LANGUAGES):
            thing, place = f"thing{item * 7919 % 10007}", f"spot{item * 104729 % 10009}"
            wrong = [f"{thing} {_STATING[language]} nothing {count}" for count in range((item + number) % 4)]
            row = {"item": str(item), "language": language, "query": f"{_ASKING[language]} {thing}"}
            rows.append({**row, "passage": f"{thing} {_STATING[language]} {place}", "negatives": wrong})
    (folder / "listed.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def drop_language(file: Path, language: str, kept: int) -> None:
    """Leave only the first ``kept`` rows of a language in a data file."""
    rows, found = [], 0
    for row in file.read_text(encoding="utf-8").splitlines(keepends=True):
        here = row.split(",")[1] == language
        found += here
        if not here or found <= kept:
            rows.append(row)
    file.write_text("".join(rows), encoding="utf-8")


def rung(step: int, value: float, metric: str = "map_multi", **more: float) -> Rung:
    """Return an evaluation that gave ``value``."""
    return Rung(step=step, seconds=0.1 * step, train_loss=1.0, summary={metric: value, **more})


def result(
    number: int, state: TrialState = "complete", values: tuple[float, ...] | None = None, reason: str | None = None
) -> TrialResult:
    """Return an outcome of trial ``number`` as if it had been trained."""
    return TrialResult(
        study="small",
        number=number,
        baseline=None,
        params={},
        state=state,
        reason=reason,
        values=values,
        seed=0,
        steps=6,
        best_step=6,
        rungs=(),
        report={},
        mixture=Mixture(batches={}, datasets={}, pairs={}),
        seconds={"train": 1.0, "evaluate": 1.0, "total": 2.0},
        provenance={},
        leakage=(),
        started="2026-03-01T12:00:00.000+00:00",
        finished="2026-03-01T12:01:00.000+00:00",
    )
