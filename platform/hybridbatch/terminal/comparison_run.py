"""Comparing runs from the terminal: stored scores are read, models are evaluated first."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hybridbatch.evaluation.measured_task import measured_task
from hybridbatch.evaluation.score_files import read_scores
from hybridbatch.foundation.errors import UserError
from hybridbatch.report.run_tables import footnotes, run_tables
from hybridbatch.report.runs import Part, Run, ScoresFile, StoredTrial, UnmeasuredModel, parts_of, shared_datasets

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from hybridbatch.evaluation.precision import Precision
    from hybridbatch.report.run_comparison import RunComparison
    from hybridbatch.spec.folders import HomeFolder
    from hybridbatch.spec.sources import DataLocation, SourceSettings


@dataclass(frozen=True)
class Measuring:
    """On what runs are compared, and how models are evaluated that have no scores of it yet.

    Attributes:
        home: The home folder.
        location: Where data lies.
        dataset: Name of the data set, None for the report sets that all runs have.
        source: Its settings; None when the name is not registered, but that of a report set.
        prefixes: Put before questions and passages; None takes what a model states.
        device: Where to encode.
        precision: In which precision to encode.
        verbose: Whether to show what libraries print.
    """

    home: HomeFolder
    location: DataLocation
    dataset: str | None
    source: SourceSettings | None
    prefixes: tuple[str | None, str | None]
    device: str
    precision: Precision
    verbose: bool
    _tables: dict[str, pa.Table] = field(default_factory=dict)

    def runs(self, names: Sequence[str]) -> dict[str | None, list[Run]]:
        """Return the runs of these names by data set.

        Raises:
            UserError: If a run stands twice, cannot be found, read or evaluated, or the runs share no data set.
        """
        twice = sorted({name for name in names if list(names).count(name) > 1})
        if twice:
            remedy = "name two different runs at least, each once"
            raise UserError("a run stands twice", path="RUNS", seen=", ".join(twice), remedy=remedy)
        parts = {name: parts_of(name, self.home) for name in names}
        everything = [part for of_run in parts.values() for part in of_run]
        models = [part.name for part in everything if isinstance(part, UnmeasuredModel)]
        if self.dataset is None and models:
            raise UserError(
                "neither a trial, a baseline nor a file of scores; to evaluate a model takes a data set",
                path="RUNS",
                seen=", ".join(models),
                remedy="name the data set with --dataset",
            )
        datasets = shared_datasets(everything) if self.dataset is None else [self.dataset]
        return {dataset: [self._run(name, parts[name], dataset) for name in names] for dataset in datasets}

    def _run(self, name: str, parts: tuple[Part, ...], dataset: str | None) -> Run:
        trials = [part for part in parts if isinstance(part, StoredTrial)]
        known = [trial.fingerprint(dataset) for trial in trials if dataset in trial.datasets]
        scores = tuple(self._scores(part, dataset) for part in parts)
        measured = [measured_task(table.schema) for table in scores]
        known += [one.fingerprint for one in measured if one]
        return Run(
            name=name,
            scores=scores,
            origins=tuple(part.name for part in parts),
            fingerprints=frozenset(one for one in known if one),
            leakage=tuple(dict.fromkeys(line for trial in trials for line in trial.result.leakage)),
            perturbations=tuple(one.perturbation if one else None for one in measured),
        )

    def _scores(self, part: Part, dataset: str | None) -> pa.Table:
        if isinstance(part, ScoresFile):
            self._check_dataset(part)
            return read_scores(part.path)
        if isinstance(part, StoredTrial):
            for stored in (dataset, self._task_name if dataset not in part.datasets else None):
                if stored in part.datasets:
                    return read_scores(part.folder.scores(str(stored)))
        if part.name not in self._tables:
            self._tables[part.name] = self._evaluated(part)
        return self._tables[part.name]

    def _check_dataset(self, file: ScoresFile) -> None:
        told = file.measured.dataset if file.measured else None
        if told is None or self.dataset in (None, told):  # before the data set is loaded for its name
            return
        if told != self._task_name:
            allowed = self._task_name or self.dataset
            raise UserError("these scores are of another data set", file=file.path, seen=told, allowed=allowed)

    def _evaluated(self, part: StoredTrial | UnmeasuredModel) -> pa.Table:
        from hybridbatch.terminal.evaluation_run import run_evaluation

        if self.source is None:
            stored = ", ".join(part.datasets) if isinstance(part, StoredTrial) else ""
            raise UserError(
                "there are no scores of this data set, and it is no registered one",
                path="--dataset",
                seen=self.dataset,
                allowed=f"a registered data set{f', or of {part.name}: {stored}' if stored else ''}",
            )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "scores.parquet"
            run_evaluation(
                part.name,
                self.source,
                self.location,
                self.home,
                prefixes=self.prefixes,
                device=self.device,
                precision=self.precision,
                keep_embeddings=True,
                scores=file,
                verbose=self.verbose,
            )
            return read_scores(file)

    @cached_property
    def _task_name(self) -> str | None:
        """The name of the data set in a study: ``pairs`` for ``parallel-pairs`` with ``path=pairs.csv``."""
        return self.source.task(self.location).name if self.source else None


def print_comparison(comparison: RunComparison, console: Console) -> None:
    """Print a table for each pair of runs, and the method."""
    for table in run_tables(comparison):
        console.print(table, crop=False)  # on a very narrow terminal lines are broken, never cut
        console.print()
    for note in footnotes(comparison):
        console.print(note, style="dim")
