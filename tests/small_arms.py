"""Settings with which each arm runs in the small study, and the files that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.small_study import BITEXT, write_bitext

from hybridbatch.foundation.registries import ARMS

# An arm whose defaults need what the small study has not is added here, with a writer of its files below.
SMALL: dict[str, dict[str, Any]] = {
    "optical": {"bitext": {"dataset": "bitext", "path": BITEXT}, "batch_size": 8},
}


def settings_of(name: str) -> dict[str, Any]:
    """Return settings of an arm for the small study."""
    return SMALL.get(name, {})


def arms() -> list[str]:
    """Return the names of all arms."""
    return list(ARMS.entries())


def write_files(data: Path) -> None:
    """Write what the arms need into the data folder."""
    write_bitext(data)
