"""Probing the layers of models from the terminal, with a progress bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hybridbatch.evaluation.probe_layers import ProbedModel, ProbePlan, probe_examples, probe_model
from hybridbatch.report.layer_probe import ProbeTable, probe_table
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.evaluation_run import check_device
from hybridbatch.terminal.leakage_note import leakage_note
from hybridbatch.terminal.named_model import model_folder
from hybridbatch.terminal.progress_bars import progress_bars

if TYPE_CHECKING:
    from hybridbatch.spec.sources import DataLocation


def run_probe(
    models: Mapping[str, str], plan: ProbePlan, location: DataLocation, home: HomeFolder, *, verbose: bool = False
) -> ProbeTable:
    """Probe every layer of models (folder, hub name or ``STUDY/NUMBER``) on the same examples.

    Args:
        models: The models, by their names in the comparison.
        plan: What is probed, and how.
        location: Where data lies and copies are kept.
        home: The home folder, in which studies are looked for.
        verbose: Whether to show what libraries print, too.

    Raises:
        UserError: If a model or the data cannot be loaded, or the data hold too few items.
    """
    check_device(plan.device)
    leakage = tuple(leakage_note(name, model, plan.source.dataset, home) for name, model in models.items())
    folders = {name: model_folder(model, home) for name, model in models.items()}
    probed: dict[str, ProbedModel] = {}
    with quiet_terminal(home.logs / "probe.log", verbose, on_stderr=True) as console, progress_bars(console) as bars:
        bar = bars.add_task("examples", total=None)
        task = probe_examples(plan, location)
        for name, folder in folders.items():

            def progress(what: str, done: int, total: int, name: str = name) -> None:
                bars.update(bar, description=f"{name}: {what}", completed=done, total=total)

            probed[name] = probe_model(folder, plan, task, location, progress)
    return probe_table(plan, task, models, probed, leakage)
