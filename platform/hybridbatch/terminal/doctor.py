"""What works on this machine, and how to mend what does not."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from hybridbatch.foundation.errors import HybridBatchError, free_megabytes
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.foundation.registries import DATASETS
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.sources import DataLocation

State = Literal["ok", "warning", "failed"]
_PACKAGES = ("torch", "transformers", "datasets", "ray", "optuna", "mlflow", "optuna-dashboard", "plotly")
_LITTLE_DISK = 2000.0  # MB; a study of small models needs less, of large ones far more
_LARGE_DATA = 2_000_000_000  # bytes of files that take minutes to read for the first time


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: ``ok``, ``warning`` (something cannot be used) or ``failed`` (nothing will run).
        found: What was found.
        mend: How to mend it.
    """

    name: str
    state: State
    found: str
    mend: str | None = None


def examine(home: HomeFolder, data_root: Path, ledger: str | None, tracking: str | None) -> Iterator[Check]:
    """Look at everything, one check after the other.

    Args:
        home: The home folder.
        data_root: Folder of data sets.
        ledger: URL of the Optuna storage, None for the embedded one.
        tracking: URL of the MLflow store, None for the embedded one.
    """
    yield Check("python", "ok", f"{sys.version.split()[0]}")
    for package in _PACKAGES:
        yield _package(package)
    yield _guarded("devices", _devices)
    yield _guarded("home folder", lambda: _home(home))
    yield _guarded("ledger", lambda: _ledger(ledger or home.ledger_url))
    yield _guarded("tracking", lambda: _tracking(tracking or home.tracking_url, home))
    for name in DATASETS.entries():
        yield _guarded(f"data set {name}", lambda name=name: _dataset(name, DataLocation(data_root, home.cache)))  # type: ignore[misc]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except HybridBatchError as error:
        seen = f" ({error.seen})" if error.seen else ""
        return Check(name, "failed", hide_passwords(error.problem + seen), error.remedy)
    except Exception as error:  # a broken installation may raise anything
        return Check(name, "failed", hide_passwords(f"{type(error).__name__}: {error}"))


def _package(package: str) -> Check:
    try:
        version = importlib.metadata.version(package)
        if package not in ("optuna-dashboard", "ray"):
            importlib.import_module(package)
    except Exception as error:
        mend = f"pip install -c constraints.txt {package}"
        return Check(package, "failed", f"{type(error).__name__}: {error}", mend)
    return Check(package, "ok", version)


def _devices() -> Check:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Check("devices", "ok", f"{os.cpu_count()} CPUs; {', '.join(names)}")
    return Check("devices", "ok", f"{os.cpu_count()} CPUs, no GPU")


def _home(home: HomeFolder) -> Check:
    from hybridbatch.foundation import atomic

    probe = home.path / ".doctor"
    atomic.write_text(probe, "")
    probe.unlink()
    free = free_megabytes(home.path)
    if free < _LITTLE_DISK:
        return Check("home folder", "warning", f"{home.path}: {free:.0f} MB free", "free some space or choose --home")
    return Check("home folder", "ok", f"{home.path}: {free / 1000:.0f} GB free, {_studies(len(home.studies()))}")


def _ledger(url: str) -> Check:
    from hybridbatch.search.storage import open_storage

    return Check("ledger", "ok", f"{hide_passwords(url)}: {_studies(len(open_storage(url).get_all_studies()))}")


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count} studies"


def _tracking(url: str, home: HomeFolder) -> Check:
    from hybridbatch.tracking.quiet import one_line
    from hybridbatch.tracking.store import TrackingStore

    try:
        found = len(TrackingStore(url, home.artifacts).connect().search_experiments())
    except Exception as error:
        return Check(
            "tracking",
            "warning",
            f"{hide_passwords(url)}: {one_line(error)}",
            "studies run without it; start the MLflow server, then `hybridbatch resume` writes what is missing",
        )
    return Check("tracking", "ok", f"{hide_passwords(url)}: {found} experiments")


def _dataset(name: str, location: DataLocation) -> Check:
    entry = DATASETS.get(name)
    try:
        source = entry(dataset=name, **({"split": "dev"} if name == "world-facts" else {}))
    except ValidationError:  # a setting is required, and only the user knows it
        return Check(f"data set {name}", "ok", "reads any files that its settings name")
    files = [location.root / file.path for file in source.remote_files()]
    if files and all(file.is_file() for file in files) and sum(file.stat().st_size for file in files) > _LARGE_DATA:
        return Check(f"data set {name}", "ok", f"all {len(files)} files are there; too large to be read here")
    try:
        task = source.task(location)
    except HybridBatchError as error:
        return Check(
            f"data set {name}", "warning", error.problem + (f": {error.file}" if error.file else ""), error.remedy
        )
    return Check(
        f"data set {name}",
        "ok",
        f"{len(task.languages)} languages, {len(task.questions):,} questions, {len(task.candidates):,} candidates",
    )
