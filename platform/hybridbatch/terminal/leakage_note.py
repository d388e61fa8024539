"""What is known of text shared between what a model learnt from and the data set that it is measured on."""

from __future__ import annotations

import re
from pathlib import Path

from hybridbatch.spec.folders import HomeFolder


def leakage_note(name: str, model: str, dataset: str, home: HomeFolder) -> str:
    """Return what the trial's result says, or that nothing is known.

    Args:
        name: The model's name in the comparison.
        model: Folder, hub name or ``STUDY/NUMBER``.
        dataset: The data set.
        home: The home folder, in which studies are looked for.
    """
    named = re.fullmatch(r"([a-z0-9][a-z0-9_-]*)/(\d+)", model)
    if named and not Path(model).exists() and home.study(named[1]).path.exists():
        result = home.study(named[1]).trial(int(named[2])).read_result()
        if result is not None and result.leakage:
            return f"{name}: {'; '.join(result.leakage)}"
    return f"{name}: what it learnt from is not known here, and text shared with {dataset} was not looked for"
