"""What is known of text shared between what a model learnt from and the data set that it is measured on."""

from __future__ import annotations

from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.named_model import trial_if_named


def leakage_note(name: str, model: str, dataset: str, home: HomeFolder) -> str:
    """Return what the trial's result says, or that text in common was not looked for.

    Args:
        name: The model's name in the comparison.
        model: Folder, hub name or ``STUDY/NUMBER`` or ``STUDY/best``.
        dataset: The data set.
        home: The home folder, in which studies are looked for.
    """
    trial = trial_if_named(model, home)
    result = trial.folder.read_result() if trial else None
    if result is not None and result.leakage:
        return f"{name}: {'; '.join(result.leakage)}"
    if trial is not None:
        return f"{name}: text shared between its training data and {dataset} was not looked for"
    return f"{name}: what it learnt from is not known here, and text shared with {dataset} was not looked for"
