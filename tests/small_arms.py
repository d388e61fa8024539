"""Settings with which each arm runs in the small study, and the files that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.made_languages import write_model
from tests.small_study import BITEXT, write_bitext

from hybridbatch.foundation.registries import ARMS

# An arm whose defaults need what the small study has not is added here, with a writer of its files below.
SMALL: dict[str, dict[str, Any]] = {
    "code-switching": {"dictionary": "dictionary.parquet"},
    "distillation": {"teacher": "teacher", "pivot": "en"},
    "domain-adaptation": {"text": [{"dataset": "parallel-pairs", "path": "small.csv"}], "steps": 3, "batch_size": 8},
    "lexical-injection": {"dictionary": "words.parquet", "steps": 3, "batch_size": 8, "learning_rate": 0.01},
    "optical": {"bitext": {"dataset": "bitext", "path": BITEXT}, "batch_size": 8, "weight": 0.5},
}
_WORDS = {"where": ("wo", "donde"), "place": ("ort", "lugar"), "lies": ("liegt", "queda"), "next": ("bei", "junto")}


def settings_of(name: str) -> dict[str, Any]:
    """Return settings of an arm for the small study."""
    return SMALL.get(name, {})


def arms() -> list[str]:
    """Return the names of all arms."""
    return list(ARMS.entries())


def write_files(data: Path) -> None:
    """Write what the arms need into the data folder."""
    rows = [
        {"english": english, "language": language, "word": word, "source": "small"}
        for english, words in _WORDS.items()
        for language, word in zip(("de", "es"), words, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), data / "dictionary.parquet")
    rows = [
        {"english": f"thing{number}", "language": language, "word": f"{language}{number}", "source": "small"}
        for number in range(30)
        for language in ("de", "es")
    ]
    pq.write_table(pa.Table.from_pylist(rows), data / "words.parquet")
    write_model(data / "teacher", ["en"], width=16)
    write_bitext(data)
