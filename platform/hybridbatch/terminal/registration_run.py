"""Registering a trial's model in MLflow from the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from hybridbatch.search.session import load_study, tracking_store
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.export_run import write_model
from hybridbatch.terminal.named_model import named_trial
from hybridbatch.terminal.progress_bars import working
from hybridbatch.tracking.model_registry import RegisteredVersion, register_trial


def run_registration(
    trial: str, home: HomeFolder, *, name: str | None, alias: str | None, verbose: bool
) -> tuple[RegisteredVersion, str]:
    """Register a trial's model in the study's MLflow store; return its version and the store's address as it is shown.

    Args:
        trial: ``STUDY/NUMBER`` or ``STUDY/best``.
        home: The home folder.
        name: The registered model; None: that of the study's name.
        alias: An alias that shall point at the version.
        verbose: Whether to show what libraries print.

    Raises:
        UserError: If there is no such trial, it kept no model, or MLflow does not take name or alias.
        StoreError: If MLflow cannot be reached or refuses.
    """
    source = named_trial(trial, home)
    store = tracking_store(load_study(home, source.study.name), home)

    def write(folder: Path) -> None:
        write_model(source, folder)

    log = home.logs / "register.log"
    with quiet_terminal(log, verbose, on_stderr=True) as console, working(console, "registering"):
        done = register_trial(source.study, source.folder, store, write, name=name or source.study.name, alias=alias)
    return done, store.shown


def print_registered(done: RegisteredVersion, address: str, console: Console) -> None:
    """Print what was registered, and how it is loaded."""
    made = "is now" if done.new else "was already"
    alias = f", {done.alias}" if done.alias else ""
    lines = (
        f"{done.trial} {made} version {done.version} of {done.name}{alias}",
        f"load it with MLFLOW_TRACKING_URI={address}: mlflow.sentence_transformers.load_model({done.uri!r})",
    )
    for line in lines:
        console.print(line, soft_wrap=True)
