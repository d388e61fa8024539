"""What probes read from the layers of models, as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from hybridbatch.evaluation.probe_examples import ProbeSetting
from hybridbatch.report.layer_probe import LayerAccuracy, ProbeTable
from hybridbatch.report.naming import measure_text
from hybridbatch.terminal.consoles import headline

_SETTINGS: dict[ProbeSetting, str] = {
    "mono": "the relevant passage is in the language of the question",
    "cross": "the relevant passage is in another language",
}


def print_probe(table: ProbeTable, console: Console) -> None:
    """Print for each setting the accuracies by layer, with their intervals and the control's."""
    settings, items = table.plan.settings, table.task.items
    said = (
        f"{settings.passages} passages, others in {settings.negatives.replace('-', ' ')}; "
        f"{items['training']:,} + {items['validation']:,} items train, {items['test']:,} test; seed {settings.seed}; "
        f"chance {measure_text('accuracy', table.chance)}"
    )
    console.print(headline(table.dataset, said))
    for setting in table.settings:
        said = f"accuracy, {_SETTINGS[setting]}; ± half of the 95% interval"
        console.print(headline(setting, said, before="\n"))
        console.print(_layers(table, setting), crop=False)
    console.print("\nlayer 0 is the embedding output; control: the same probe on labels drawn at random", style="dim")
    for line in table.leakage:
        console.print(f"leakage: {line}", style="dim")


def _layers(table: ProbeTable, setting: ProbeSetting) -> Table:
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    shown.add_column("model", no_wrap=True)
    shown.add_column("layer", justify="right", no_wrap=True)
    for reading in table.readings:
        for heading in (reading, "±", *(() if reading == "cosine" else ("control",))):
            shown.add_column(heading, justify="right", no_wrap=True, style="" if heading == reading else "dim")
    for model in table.models:
        by_layer = zip(*(table.of(model, setting, reading) for reading in table.readings), strict=True)
        for place, rows in enumerate(by_layer):
            cells = [text for row in rows for text in _cells(row)]
            shown.add_row("" if place else model, str(rows[0].layer), *cells)
    return shown


def _cells(row: LayerAccuracy) -> list[str]:
    half = "" if row.low is None or row.high is None else measure_text("accuracy", (row.high - row.low) / 2)
    control = [] if row.reading == "cosine" else [measure_text("accuracy", row.control)]
    return [measure_text("accuracy", row.accuracy), half, *control]
