"""Commands about models under perturbations: robustness."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import data_location, home_folder, named_source, one_of_names
from hybridbatch.cli.output import command_again, one_format, print_as
from hybridbatch.foundation.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from hybridbatch.spec.perturbations import Perturbation, Side

Perturb = Annotated[
    list[str], typer.Option("--perturb", "-p", help="A perturbation, such as typos; several give a curve each.")
]
Strength = Annotated[str, typer.Option(help="Strengths between 0 and 1; 0 is always among them.")]
Sides = Annotated[str, typer.Option("--side", help="Whose texts are perturbed: questions, passages or both.")]
Seed = Annotated[int, typer.Option(min=0, help="The first seed.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds; means and deviations over them are shown.")]
PerturbSetting = Annotated[
    Optional[list[str]],
    typer.Option("--perturb-set", help="A setting of a perturbation, such as code-switching.per=text."),
]
Measure = Annotated[
    Optional[list[str]], typer.Option("--measure", "-m", help="A measure to show, such as recall1_cross.")
]
Scores = Annotated[Optional[Path], typer.Option(help="Write the scores of questions to parquet files in this folder.")]
Output = Annotated[Optional[Path], typer.Option("--output", "-o", help="Write an HTML page with curves.")]
Csv = Annotated[
    bool, typer.Option("--csv", help="Print CSV, one line per model, perturbation, strength, seed and language.")
]
_SIDES: tuple[Side, ...] = ("questions", "passages", "both")


@app.command(rich_help_panel="Models")
def robustness(
    context: typer.Context,
    models: options.Models,
    dataset: options.Dataset,
    perturb: Perturb,
    strength: Strength = "0,0.1,0.2,0.4",
    side: Sides = "questions",
    seed: Seed = 0,
    seeds: Seeds = 1,
    setting: options.Setting = None,
    perturb_setting: PerturbSetting = None,
    measure: Measure = None,
    question_prefix: options.QuestionPrefix = None,
    passage_prefix: options.PassagePrefix = None,
    scores: Scores = None,
    output: Output = None,
    device: options.Device = "cpu",
    home: options.Home = None,
    data: options.DataRoot = None,
    as_json: options.Json = False,
    as_csv: Csv = False,
    verbose: options.Verbose = False,
) -> None:
    """Measure what models lose to typos, romanised text, code-switching and more, against the strength of each."""
    from hybridbatch.evaluation.robustness import Plan
    from hybridbatch.report.robustness import robustness_csv, robustness_json
    from hybridbatch.terminal.named_model import named_models
    from hybridbatch.terminal.robustness_run import run_robustness
    from hybridbatch.terminal.robustness_view import print_robustness

    kind = one_format(json=as_json, csv=as_csv)
    folder = home_folder(home)
    plan = Plan(
        models=named_models(models),
        source=named_source(dataset, setting),
        perturbations=_perturbations(perturb, perturb_setting or []),
        strengths=_strengths(strength),
        seeds=tuple(range(seed, seed + seeds)),
        side=one_of_names("--side", side, _SIDES),
        prefixes=(question_prefix, passage_prefix),
        device=device,
    )
    table = run_robustness(
        plan, data_location(data, folder), folder, measures=measure or [], scores=scores, verbose=verbose
    )
    if output is not None:
        from hybridbatch.report.robustness_page import write_robustness_page

        write_robustness_page(table, output, command_again(context))
    print_as(kind, table, as_json=robustness_json, as_csv=robustness_csv, on_terminal=print_robustness)


def _perturbations(names: list[str], settings: list[str]) -> tuple[Perturbation, ...]:
    from hybridbatch.spec.reader import read_perturbation

    contents: dict[str, dict[str, str]] = {name: {} for name in names}
    for one in settings:
        place, equals, value = one.partition("=")
        name, dot, key = place.partition(".")
        if not equals or not dot:
            raise UserError("not a setting", path="--perturb-set", seen=one, allowed="PERTURBATION.NAME=VALUE")
        if name not in contents:
            raise UserError(
                "a setting of no perturbation that is asked for",
                path="--perturb-set",
                seen=name,
                allowed=", ".join(contents),
                remedy=did_you_mean(name, contents) or f"add --perturb {name}",
            )
        if key in ("strength", "seed"):
            raise UserError("an option of its own", path="--perturb-set", seen=one, remedy=f"write --{key} {value}")
        contents[name][key] = value
    return tuple(read_perturbation(name, content) for name, content in contents.items())


def _strengths(text: str) -> tuple[float, ...]:
    """Return the strengths above 0, ascending."""
    allowed = "numbers between 0 and 1 with commas between them, such as 0,0.1,0.2,0.4"
    try:
        found = {float(part) for part in text.split(",")}
    except ValueError as error:
        raise UserError("not a list of strengths", path="--strength", seen=text, allowed=allowed) from error
    wrong = sorted(one for one in found if not 0 <= one <= 1)
    if wrong or found <= {0.0}:
        problem = "a strength is out of range" if wrong else "no strength above 0"
        raise UserError(problem, path="--strength", seen=wrong[0] if wrong else text, allowed=allowed)
    return tuple(sorted(found - {0.0}))
