"""Retrieval-augmented prompts from the terminal, with a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybridbatch.evaluation.parc import ParcPlan, evaluate_parc
from hybridbatch.report.parc import ParcTable, parc_table
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.evaluation_run import check_device
from hybridbatch.terminal.leakage_note import leakage_note
from hybridbatch.terminal.named_model import model_folder
from hybridbatch.terminal.progress_bars import progress_bars

if TYPE_CHECKING:
    from hybridbatch.spec.sources import DataLocation


def run_parc(
    retriever: str,
    language_model: str,
    plan: ParcPlan,
    location: DataLocation,
    home: HomeFolder,
    *,
    verbose: bool = False,
) -> ParcTable:
    """Measure a masked language model with and without the neighbours that a retriever finds.

    Args:
        retriever: Folder, hub name or ``STUDY/NUMBER``.
        language_model: Folder or hub name.
        plan: What is measured.
        location: Where data lies and copies are kept.
        home: The home folder, in which studies are looked for.
        verbose: Whether to show what libraries print, too.

    Raises:
        UserError: If a model or the data cannot be loaded, or the settings do not fit them.
    """
    check_device(plan.device)
    dataset = plan.source.dataset
    leakage = [leakage_note("retriever", retriever, dataset, home)]
    leakage.append(leakage_note("language model", language_model, dataset, home))
    folder = model_folder(retriever, home)
    with quiet_terminal(home.logs / "parc.log", verbose, on_stderr=True) as console, progress_bars(console) as bars:
        bar = bars.add_task("models", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bars.update(bar, description=what, completed=done, total=total)

        outcome = evaluate_parc(folder, language_model, plan, location, progress)
    return parc_table(retriever, language_model, plan, outcome, leakage)
