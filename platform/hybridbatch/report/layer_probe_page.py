"""The page about the layers of models: one HTML file that needs no network and no other file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hybridbatch.foundation import atomic
from hybridbatch.report.figures.layer_probe import probe_cards
from hybridbatch.report.rendering import render_page

if TYPE_CHECKING:
    from hybridbatch.report.layer_probe import LayerAccuracy, ProbeTable


def write_probe_page(table: ProbeTable, path: Path, command: str) -> Path:
    """Write the page and return its path.

    Args:
        table: What is shown.
        path: The HTML file.
        command: The command that gives the same figures again.
    """
    atomic.write_text(path, probe_page(table, command))
    return path


def probe_page(table: ProbeTable, command: str) -> str:
    """Return the page as HTML; it depends on the table and the command alone, not on the clock."""
    cards = probe_cards(table)
    sections = [
        {
            "setting": setting,
            "cards": [(place, card) for place, card in enumerate(cards) if card.section == setting],
            "rows": [(row, interval_text(row)) for row in table.rows if row.setting == setting],
        }
        for setting in table.settings
    ]
    return render_page(
        "probe.html.jinja",
        cards,
        table=table,
        sections=sections,
        models=table.models,
        leakage=table.leakage,
        command=command,
    )


def interval_text(row: LayerAccuracy) -> str:
    """Return the interval of an accuracy, nothing where it has none."""
    return "" if row.low is None or row.high is None else f"{row.low:.3f}–{row.high:.3f}"
