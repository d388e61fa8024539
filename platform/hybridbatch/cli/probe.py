"""Commands about the layers of models: probe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import data_location, home_folder, named_source, one_of_names
from hybridbatch.cli.output import command_again, one_format, print_as

Passages = Annotated[int, typer.Option("--passages", "-n", min=2, help="Passages to pick from, one of them relevant.")]
Negatives = Annotated[
    str, typer.Option(help="Whether the others are in the language of the relevant one: same-language, any-language.")
]
Form = Annotated[
    Optional[list[str]],
    typer.Option("--form", help="Form of the probe: concatenation (the paper's), product. Both when left out."),
]
Items = Annotated[Optional[int], typer.Option("--items", min=1, help="At most so many items, drawn by the seed.")]
TestShare = Annotated[
    float, typer.Option("--test-share", min=0.01, max=0.99, help="Share of the items that probes are tested on.")
]
TrainingExamples = Annotated[
    int, typer.Option("--training-examples", min=1, help="At most so many examples train a probe.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the split, of what is drawn and of the control task.")]
Output = Annotated[Optional[Path], typer.Option("--output", "-o", help="Write an HTML page with curves by layer.")]
Csv = Annotated[
    bool, typer.Option("--csv", help="Print CSV, one line per model, layer, setting, reading and pair of languages.")
]


@app.command(rich_help_panel="Models")
def probe(
    context: typer.Context,
    models: options.Models,
    dataset: options.Dataset,
    passages: Passages = 5,
    negatives: Negatives = "same-language",
    form: Form = None,
    items: Items = None,
    test_share: TestShare = 0.5,
    training_examples: TrainingExamples = 10_000,
    seed: Seed = 0,
    setting: options.Setting = None,
    question_prefix: options.QuestionPrefix = None,
    passage_prefix: options.PassagePrefix = None,
    output: Output = None,
    device: options.Device = "cpu",
    home: options.Home = None,
    data: options.DataRoot = None,
    as_json: options.Json = False,
    as_csv: Csv = False,
    verbose: options.Verbose = False,
) -> None:
    """Find the layers from which it can be read which passage answers a question, within and across languages."""
    from hybridbatch.evaluation.linear_probe import FORMS
    from hybridbatch.evaluation.probe_examples import NEGATIVES, ProbeSettings
    from hybridbatch.evaluation.probe_layers import ProbePlan
    from hybridbatch.report.layer_probe import probe_csv, probe_json
    from hybridbatch.terminal.named_model import named_models
    from hybridbatch.terminal.probe_run import run_probe
    from hybridbatch.terminal.probe_view import print_probe

    kind = one_format(json=as_json, csv=as_csv)
    folder = home_folder(home)
    plan = ProbePlan(
        source=named_source(dataset, setting),
        settings=ProbeSettings(
            passages=passages,
            negatives=one_of_names("--negatives", negatives, NEGATIVES),
            test_share=test_share,
            items=items,
            training_examples=training_examples,
            seed=seed,
        ),
        forms=tuple(dict.fromkeys(one_of_names("--form", one, tuple(FORMS)) for one in form or FORMS)),
        prefixes=(question_prefix, passage_prefix),
        device=device,
    )
    table = run_probe(named_models(models), plan, data_location(data, folder), folder, verbose=verbose)
    if output is not None:
        from hybridbatch.report.layer_probe_page import write_probe_page

        write_probe_page(table, output, command_again(context))
    print_as(kind, table, as_json=probe_json, as_csv=probe_csv, on_terminal=print_probe)
