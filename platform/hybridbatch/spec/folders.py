"""Where everything lies: the home folder, a study's folder and a trial's folder.

HOME/ledger.db  mlflow.db  mlflow-artifacts/  cache/  logs/
HOME/studies/STUDY/experiment.json  data.json  warm_start.json
HOME/studies/STUDY/trials/00007/spec.json  progress.json  checkpoints/  model/  scores/SET.parquet  result.json
                          attempts.json
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.spec.attempts import Attempts
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.names import check_name
from hybridbatch.spec.taken import Taken
from hybridbatch.spec.trial import CurvePoint, TrialResult, TrialSpec

_CURVE = TypeAdapter(tuple[CurvePoint, ...])
_ATTEMPTS = TypeAdapter(Attempts)

T = TypeVar("T")


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def read_record(file: Path, parse: Callable[[str], T]) -> T:
    """Return what ``parse`` makes of the text in ``file``.

    Raises:
        UserError: If the file is not what was written, or is for somebody else alone.
    """
    try:
        return parse(file.read_text(encoding="utf-8"))
    except PermissionError as error:
        remedy = "experiment.json is its owner's alone where a store's URL holds a password: ask whoever runs the study"
        raise UserError("you may not read this record", file=file, remedy=remedy) from error
    except ValueError as error:  # of pydantic, of json, of a text that is not UTF-8
        raise UserError(
            "this record is damaged",
            file=file,
            seen=str(error).splitlines()[-1 if isinstance(error, json.JSONDecodeError) else 0],
            allowed="the file as it was written",
            remedy="bring it back from a copy; `hybridbatch run FILE` writes experiment.json again, and a trial whose "
            "result.json is deleted is left out of comparisons",
        ) from error


class _DataPlace(BaseModel):
    """What ``data.json`` of a study holds."""

    root: Path


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial: its whole truth, from which ledger and tracking can be rebuilt."""

    path: Path

    @property
    def number(self) -> int:
        """The number of the trial."""
        return int(self.path.name)

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints, ``step-00000400`` and so on."""
        return self.path / "checkpoints"

    @property
    def best_weights(self) -> Path:
        """Folder of the best weights so far, kept while a trial with early stopping runs."""
        return self.path / "best"

    def accelerator_lost(self, rank: int) -> Path:
        """File that says that the trial once left a worker without a usable accelerator."""
        return self.path / f"accelerator-lost-{rank}"

    @property
    def model(self) -> Path:
        """Folder of the trained encoder, in Hugging Face layout with a ``hybridbatch.json`` beside it."""
        return self.path / "model"

    @property
    def progress(self) -> Path:
        """File that a running trial rewrites about once a second."""
        return self.path / "progress.json"

    def scores(self, dataset: str) -> Path:
        """Parquet file with the score of every question of a report set."""
        return self.path / "scores" / f"{dataset}.parquet"

    def write_spec(self, spec: TrialSpec) -> None:
        """Write what the trial is to do; not where stores are, since copies of the folder go to other places."""
        text = spec.model_dump_json(indent=1, exclude={"experiment": {"stores"}})
        atomic.write_text(self.path / "spec.json", text + "\n")

    def has_spec(self) -> bool:
        """Return whether the trial was begun."""
        return (self.path / "spec.json").exists()

    def read_spec(self) -> TrialSpec:
        """Return what the trial is to do."""
        return read_record(self.path / "spec.json", TrialSpec.model_validate_json)

    def write_curve(self, points: tuple[CurvePoint, ...]) -> None:
        """Write the training curve."""
        atomic.write_text(self.path / "curve.json", _CURVE.dump_json(points).decode() + "\n")

    def read_curve(self) -> tuple[CurvePoint, ...]:
        """Return the training curve, empty before the first rung."""
        file = self.path / "curve.json"
        return read_record(file, _CURVE.validate_json) if file.exists() else ()

    def write_result(self, result: TrialResult) -> TrialResult:
        """Write the outcome, with which the trial is finished; return the one that stands.

        The first stands: a driver that slept through its lease may bring a second one.
        """
        atomic.remove_drafts(self.path)  # of killed attempts; first, since a finished trial is never tidied again
        if atomic.write_text_once(self.path / "result.json", result.model_dump_json(indent=1) + "\n"):
            return result
        return self.read_result() or result

    def newest_step(self) -> int:
        """Return the step of the newest checkpoint, from which the trial would go on; 0 without one."""
        names = (path.name.removeprefix("step-") for path in self.checkpoints.glob("step-*"))
        return max((int(name) for name in names if _is_number(name)), default=0)

    def write_attempts(self, attempts: Attempts) -> None:
        """Write what the ledger knows of the attempts at the trial, when it is finished."""
        atomic.write_text(self.path / "attempts.json", _ATTEMPTS.dump_json(attempts, indent=1).decode() + "\n")

    def read_attempts(self) -> Attempts:
        """Return the attempts at a finished trial; none in older folders."""
        file = self.path / "attempts.json"
        return read_record(file, _ATTEMPTS.validate_json) if file.exists() else ()

    def files(self) -> list[Path]:
        """Return every file of the folder; no links, since what they lead to is not the trial's to be copied."""
        found = (path for path in self.path.rglob("*") if path.is_file() and not path.is_symlink())
        return sorted(path for path in found if path.resolve().is_relative_to(self.path.resolve()))

    def what_only_a_running_trial_needs(self) -> tuple[Path, ...]:
        """Return where checkpoints and the like lie."""
        return self.checkpoints, self.best_weights, self.progress, *self.path.glob("accelerator-lost-*")

    def remove_what_only_a_running_trial_needs(self) -> None:
        """Remove checkpoints and the like; a process killed after it wrote the result may have left them."""
        for path in self.what_only_a_running_trial_needs():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def read_result(self) -> TrialResult | None:
        """Return the outcome, or None when the trial is not finished."""
        file = self.path / "result.json"
        return read_record(file, TrialResult.model_validate_json) if file.exists() else None


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one study."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.path.name

    @property
    def experiment(self) -> Path:
        """The experiment as validated, with every default written out."""
        return self.path / "experiment.json"

    def write_experiment(self, experiment: Experiment) -> None:
        """Write the experiment; for its owner alone where a store's URL holds a password."""
        text = experiment.model_dump_json(indent=1) + "\n"
        atomic.write_text(self.experiment, text, private=hide_passwords(text) != text)

    def write_data_root(self, root: Path | None) -> None:
        """Remember where the study's data lie, for `resume`; None: in the home folder's own, wherever that is."""
        file = self.path / "data.json"
        if root is None:
            file.unlink(missing_ok=True)
        else:
            atomic.write_text(file, _DataPlace(root=root).model_dump_json() + "\n")

    def read_data_root(self) -> Path | None:
        """Return the folder that the study's relative paths of data sets start from; None when none is remembered."""
        file = self.path / "data.json"
        return read_record(file, _DataPlace.model_validate_json).root if file.exists() else None

    def write_taken(self, taken: Taken) -> None:
        """Write what the study took from earlier ones, should its ledger be lost."""
        if taken.studies and taken != self.read_taken():
            atomic.write_text(self._taken, taken.model_dump_json() + "\n")

    def read_taken(self) -> Taken:
        """Return what the study took from earlier ones."""
        return read_record(self._taken, Taken.model_validate_json) if self._taken.exists() else Taken()

    @property
    def _taken(self) -> Path:
        return self.path / "warm_start.json"

    def trial(self, number: int) -> TrialFolder:
        """Return the folder of trial ``number``."""
        return TrialFolder(self.path / "trials" / f"{number:05d}")

    def trials(self) -> Iterator[TrialFolder]:
        """Yield the folders of all trials that were started, by number."""
        trials = self.path / "trials"
        for path in sorted(trials.iterdir()) if trials.exists() else []:
            if _is_number(path.name):
                yield TrialFolder(path)

    def results(self) -> list[TrialResult]:
        """Return the results of all finished trials, by number."""
        return [result for folder in self.trials() if (result := folder.read_result()) is not None]


@dataclass(frozen=True)
class HomeFolder:
    """The home folder: embedded stores, studies, caches and logs."""

    path: Path

    @classmethod
    def choose(cls, option: Path | None) -> HomeFolder:
        """Return the home folder: the option, else ``HYBRIDBATCH_HOME``, else ``.hybridbatch`` here."""
        return cls((option or Path(os.environ.get("HYBRIDBATCH_HOME") or ".hybridbatch")).expanduser().absolute())

    @property
    def data(self) -> Path:
        """Folder that relative paths of data sets start from when nobody names another."""
        return self.path / "data"

    @property
    def cache(self) -> Path:
        """Folder of what can be made again: memory-mapped data, tokens, tokenizers."""
        return self.path / "cache"

    @property
    def logs(self) -> Path:
        """Folder of log files."""
        return self.path / "logs"

    @property
    def ledger_url(self) -> str:
        """URL of the embedded Optuna storage."""
        return f"sqlite:///{self.path / 'ledger.db'}"

    @property
    def tracking_url(self) -> str:
        """URL of the embedded MLflow store."""
        return f"sqlite:///{self.path / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.path / "mlflow-artifacts"

    def study(self, name: str) -> StudyFolder:
        """Return the folder of a study.

        Raises:
            UserError: If ``name`` cannot name a study.
        """
        return StudyFolder(self.path / "studies" / check_name(name))

    def studies(self) -> list[StudyFolder]:
        """Return all studies, by name."""
        folder = self.path / "studies"
        return [StudyFolder(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.exists() else []
