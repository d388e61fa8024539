"""Runs that somebody wants compared, by the names that a person gives them.

======================  ==============================================================================
``quickstart/7``        trial 7 of a study: the stored scores of its report sets
``quickstart/best``     its best complete trial by the first objective
``quickstart/hybrid``   every complete trial of a baseline: one run a seed
``scores.parquet``      a file of scores, as ``hybridbatch evaluate --scores`` writes it
anything else           a model, folder or hub name, which has to be evaluated first
``a,b,c``               several of these as the runs of one system that differ by their seed
======================  ==============================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hybridbatch.evaluation.measured_task import MeasuredTask, measured_task
from hybridbatch.evaluation.score_files import read_schema
from hybridbatch.foundation.errors import UserError, did_you_mean, one_of
from hybridbatch.report.collect import BEST, best_trial
from hybridbatch.spec.folders import HomeFolder, StudyFolder, TrialFolder

if TYPE_CHECKING:
    import pyarrow as pa

    from hybridbatch.spec.trial import TrialResult


@dataclass(frozen=True)
class StoredTrial:
    """A complete trial with its scores.

    Attributes:
        name: ``STUDY/NUMBER``.
        folder: Its folder.
        result: Its result.
    """

    name: str
    folder: TrialFolder
    result: TrialResult

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets whose scores are stored."""
        return tuple(name for name in self.result.report if self.folder.scores(name).exists())

    def fingerprint(self, dataset: str) -> str | None:
        """Return the fingerprint of the content of a report set, None in a result without it."""
        value = self.result.provenance.get("data", {}).get(f"report/{dataset}")
        return value if isinstance(value, str) else None


@dataclass(frozen=True)
class ScoresFile:
    """A parquet file of scores."""

    name: str
    path: Path

    @cached_property
    def measured(self) -> MeasuredTask | None:
        """What it was measured on; None where the file does not say, as older ones do not."""
        return measured_task(read_schema(self.path))


@dataclass(frozen=True)
class UnmeasuredModel:
    """A model that no scores are stored of."""

    name: str


Part = StoredTrial | ScoresFile | UnmeasuredModel


@dataclass(frozen=True)
class Run:
    """A system with the scores of its runs on one data set.

    Attributes:
        name: What the person called it.
        scores: Table of scores of each run (seed).
        origins: Where each comes from.
        fingerprints: Fingerprints of the data set where they are known.
        leakage: What is known of text shared between training and report sets.
        perturbations: What was done to the data set for each run, None where nothing is known; empty when nothing is
            known of any.
    """

    name: str
    scores: tuple[pa.Table, ...]
    origins: tuple[str, ...]
    fingerprints: frozenset[str] = frozenset()
    leakage: tuple[str, ...] = ()
    perturbations: tuple[str | None, ...] = ()


def parts_of(name: str, home: HomeFolder) -> tuple[Part, ...]:
    """Return what a person's name of a run stands for: one part a seed.

    Raises:
        UserError: If there is no such trial, baseline or file, or one stands there twice.
    """
    pieces = [name] if Path(name).exists() else [piece.strip() for piece in name.split(",")]
    if not all(pieces):
        raise UserError("a name is empty", path="RUNS", seen=name, allowed="names with commas between")
    parts = tuple(part for piece in pieces for part in _parts(piece, home))
    twice = sorted({part.name for part in parts if [one.name for one in parts].count(part.name) > 1})
    if twice:
        raise UserError("a run stands twice among the seeds of one system", path="RUNS", seen=", ".join(twice))
    return parts


def _parts(piece: str, home: HomeFolder) -> tuple[Part, ...]:
    path = Path(piece).expanduser()
    if path.suffix == ".parquet":
        if not path.is_file():
            raise UserError(
                "no such file of scores", file=path, remedy="`hybridbatch evaluate --scores FILE` writes one"
            )
        return (ScoresFile(piece, path),)
    named = re.fullmatch(r"([a-z0-9][a-z0-9_-]{0,63})(?:/(.+))?", piece)
    if path.exists() or named is None or not home.study(named[1]).path.exists():
        return (UnmeasuredModel(piece),)
    study = home.study(named[1])
    if named[2] is None:
        raise UserError(
            "this is a study, not a run",
            path="RUNS",
            seen=piece,
            allowed=f"{piece}/NUMBER or {piece}/BASELINE",
            remedy=f"`hybridbatch compare {piece}` alone shows all its trials",
        )
    if named[2] == BEST and all(one.baseline != BEST for one in study.results()):  # a baseline of that name comes first
        return (_trial(study, best_trial(study).number),)
    return (_trial(study, int(named[2])),) if re.fullmatch(r"\d+", named[2], re.ASCII) else _baseline(study, named[2])


def _trial(study: StudyFolder, number: int) -> StoredTrial:
    folder = study.trial(number)
    result = folder.read_result()
    if result is None or result.state != "complete":
        complete = [str(one.number) for one in study.results() if one.state == "complete"]
        raise UserError(
            "this trial is not complete",
            file=study.path,
            seen=f"{study.name}/{number}" + (f", {result.state}" if result else ""),
            allowed=f"a complete trial: {', '.join(complete) or 'none yet'}",
        )
    return StoredTrial(f"{study.name}/{number}", folder, result)


def _baseline(study: StudyFolder, baseline: str) -> tuple[StoredTrial, ...]:
    results = study.results()
    numbers = [one.number for one in results if one.baseline == baseline and one.state == "complete"]
    if not numbers:
        names = {one.baseline for one in results if one.baseline and one.state == "complete"}
        raise UserError(
            "this study has no complete trial of such a baseline",
            file=study.path,
            seen=baseline,
            allowed=one_of(names) or "none yet",
            remedy=did_you_mean(baseline, names),
        )
    return tuple(_trial(study, number) for number in numbers)


def shared_datasets(parts: list[Part]) -> list[str | None]:
    """Return the data sets that all runs have scores of; None stands for that of files that do not say theirs.

    Raises:
        UserError: If they share none, or files of scores leave open which one they are of.
    """
    trials = [part for part in parts if isinstance(part, StoredTrial)]
    files = [part for part in parts if isinstance(part, ScoresFile)]
    told = [(file.name, file.measured) for file in files if file.measured]
    if not trials and len({measured.fingerprint for _, measured in told}) < 2:
        return [told[0][1].dataset if told else None]  # a data set of other name and the same content is the same
    has = [(trial.name, trial.datasets) for trial in trials] + [(name, (one.dataset,)) for name, one in told]
    shared = [name for name in has[0][1] if all(name in datasets for _, datasets in has)]
    if not shared:
        seen = "; ".join(f"{name}: {', '.join(datasets) or 'none'}" for name, datasets in has)
        remedy = "name a data set with --dataset: the trials' models are then evaluated on it" if trials else None
        raise UserError("these runs were measured on different data sets", path="RUNS", seen=seen, remedy=remedy)
    if len(shared) > 1 and len(files) > len(told):
        raise UserError("say which data set the files of scores are of", path="--dataset", allowed=one_of(shared))
    return list(shared)
