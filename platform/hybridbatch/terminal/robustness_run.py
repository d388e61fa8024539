"""Models under perturbations from the terminal, with a progress bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hybridbatch.evaluation.robustness import Evaluated, Plan, evaluate_robustness
from hybridbatch.foundation.errors import UserError, did_you_mean, one_of
from hybridbatch.report.robustness import RobustnessTable, robustness_table
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.objectives import objective_directions
from hybridbatch.spec.perturbations import PoolPerturbation
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.evaluation_run import check_device
from hybridbatch.terminal.leakage_note import leakage_note
from hybridbatch.terminal.named_model import model_folder
from hybridbatch.terminal.progress_bars import progress_bars

if TYPE_CHECKING:
    from hybridbatch.spec.sources import DataLocation


def run_robustness(
    plan: Plan,
    location: DataLocation,
    home: HomeFolder,
    *,
    measures: Sequence[str] = (),
    scores: Path | None = None,
    verbose: bool = False,
) -> RobustnessTable:
    """Measure models under perturbations; write the scores of every question when asked to.

    Args:
        plan: What is to be compared; its models as a user names them, by their names in the comparison.
        location: Where data lies and copies are kept.
        home: The home folder, in which studies are looked for.
        measures: The measures to show; none means the mAPs.
        scores: Folder of parquet files, one for each model and variant.
        verbose: Whether to show what libraries print, too.

    Raises:
        UserError: If a model, the data, a measure or what a perturbation needs is not there.
    """
    check_measures(measures)
    check_device(plan.device)
    leakage = [leakage_note(name, model, plan.source.dataset, home) for name, model in plan.models.items()]
    here = _located(plan, home)
    runs: list[Evaluated] = []
    with (
        quiet_terminal(home.logs / "robustness.log", verbose, on_stderr=True) as console,
        progress_bars(console) as bars,
    ):
        total = bars.add_task("evaluations", total=plan.evaluations)
        texts = bars.add_task("texts", total=None)

        def progress(what: str, done: int, of: int) -> None:
            bars.update(texts, description=what, completed=done, total=of)

        for run in evaluate_robustness(here, location, progress):
            if scores is not None:
                _write_scores(run, scores)
            runs.append(replace(run, scores=run.scores.schema.empty_table()))  # megabytes each, and written
            bars.update(total, advance=1)
    return robustness_table(plan, runs, measures, leakage)


def _located(plan: Plan, home: HomeFolder) -> Plan:
    """Return ``plan`` with the folders of trials in place of their names."""
    perturbations = tuple(
        one.model_copy(update={"model": model_folder(one.model, home)})
        if isinstance(one, PoolPerturbation) and one.model
        else one
        for one in plan.perturbations
    )
    models = {name: model_folder(model, home) for name, model in plan.models.items()}
    return replace(plan, models=models, perturbations=perturbations)


def check_measures(measures: Sequence[str]) -> None:
    """Raise a :class:`UserError` for a measure that no evaluation gives."""
    known: Mapping[str, object] = objective_directions()
    for one in measures:
        if one not in known:
            raise UserError(
                "unknown measure", path="--measure", seen=one, allowed=one_of(known), remedy=did_you_mean(one, known)
            )


def _write_scores(run: Evaluated, folder: Path) -> None:
    from hybridbatch.evaluation.score_files import write_scores

    what = run.variant.perturbation
    name = f"{what.kind}-{what.strength:g}-seed{what.seed}" if what else "unperturbed"
    write_scores(run.scores, folder / run.model / f"{name}.parquet")
