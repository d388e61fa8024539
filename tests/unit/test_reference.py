"""The reference of the experiment file says what the code does."""

from __future__ import annotations

from pathlib import Path

from hybridbatch.foundation.registries import BACKBONES, DATASETS
from hybridbatch.spec.reference import experiment_reference

DOCUMENT = Path(__file__).parents[2] / "docs" / "experiment-file.md"


def test_the_committed_reference_is_up_to_date() -> None:
    remedy = "run: hybridbatch schema --markdown > docs/experiment-file.md"
    assert DOCUMENT.read_text(encoding="utf-8") == experiment_reference(), remedy


def test_every_registered_class_has_a_section_with_every_field_explained() -> None:
    text = experiment_reference()
    for key, registry in (("dataset", DATASETS), ("kind", BACKBONES)):
        for name, entry in registry.entries().items():
            section = text.split(f"## `{key}: {name}`\n")[1].split("\n## ")[0]
            for field in entry.model_fields:
                row = next(line for line in section.splitlines() if line.startswith(f"| `{field}` |"))
                assert row.rstrip("| ").count(" | ") == 3 or field == key, row
