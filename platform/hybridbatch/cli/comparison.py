"""Comparing: the trials of one study, or any runs with each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import data_location, home_folder, named_source, one_of_names
from hybridbatch.cli.output import console, json_text, one_format, print_as
from hybridbatch.foundation.errors import UserError, one_of

if TYPE_CHECKING:
    from rich.console import Console

    from hybridbatch.report.collect import StudyTable
    from hybridbatch.report.effects import ArmEffects
    from hybridbatch.report.run_comparison import RunComparison
    from hybridbatch.spec.folders import HomeFolder
    from hybridbatch.spec.sources import SourceSettings

_SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown", ".tex": "latex"}

Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY | RUN RUN...",
        help="A study alone: all its trials. Several runs: STUDY/NUMBER, STUDY/best, STUDY/BASELINE (all its seeds), a "
        ".parquet file of scores, a model folder or hub name; commas between the seeds of one system.",
    ),
]
Dataset = Annotated[
    Optional[str],
    typer.Option("--dataset", "-d", help="Data set to compare runs on. Else the report sets that all of them have."),
]
Measure = Annotated[
    Optional[list[str]],
    typer.Option("--measure", "-m", help="Measure, repeatable. Else map_mono, map_cross, map_multi, rank_distance."),
]
PerLanguage = Annotated[bool, typer.Option("--per-language", help="Compare the questions of each language, too.")]
Cells = Annotated[bool, typer.Option("--cells", help="Compare each pair of languages, too.")]
Against = Annotated[Optional[str], typer.Option(help="Compare all other runs with this one, not every pair.")]
Test = Annotated[
    Optional[Literal["randomisation", "bootstrap", "two-level"]],
    typer.Option(help="Test. Else two-level where a system has several seeds, else randomisation."),
]
IntervalKind = Annotated[Literal["bca", "percentile"], typer.Option(help="Confidence interval of single runs.")]
Resamples = Annotated[int, typer.Option(min=100, help="Number of resamples.")]
Seed = Annotated[int, typer.Option(help="Seed of the resampling.")]
Alpha = Annotated[float, typer.Option(min=1e-6, max=0.5, help="Level of significance of all comparisons together.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, one line per trial, or per comparison of runs.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print a comparison of runs as Markdown.")]
Latex = Annotated[bool, typer.Option("--latex", help="Print a comparison of runs as LaTeX (booktabs).")]
Output = Annotated[
    Optional[Path],
    typer.Option("--output", "-o", help="Write a comparison of runs to this file: .json, .csv, .md or .tex."),
]


@app.command(rich_help_panel="Studies")
def compare(
    runs: Runs,
    dataset: Dataset = None,
    setting: options.Setting = None,
    measure: Measure = None,
    per_language: PerLanguage = False,
    cells: Cells = False,
    against: Against = None,
    test: Test = None,
    interval: IntervalKind = "bca",
    resamples: Resamples = 10_000,
    seed: Seed = 0,
    alpha: Alpha = 0.05,
    question_prefix: options.QuestionPrefix = None,
    passage_prefix: options.PassagePrefix = None,
    device: options.Device = "cpu",
    precision: options.EncodingPrecision = "fp32",
    home: options.Home = None,
    data: options.DataRoot = None,
    as_json: options.Json = False,
    as_csv: Csv = False,
    as_markdown: Markdown = False,
    as_latex: Latex = False,
    output: Output = None,
    verbose: options.Verbose = False,
) -> None:
    """Compare the trials of a study, or any runs with each other: which differences hold, with intervals and tests."""
    folder = home_folder(home)
    if len(runs) == 1:
        of_runs = (dataset, setting, measure, per_language, cells, against, test, as_markdown, as_latex, output)
        if any(of_runs) or (question_prefix, passage_prefix, precision) != (None, None, "fp32"):
            raise UserError("these options compare runs, two at least", path="RUNS", seen=runs[0])
        _refuse_single_run(runs[0], folder)
        _compare_study(runs[0], folder, one_format(json=as_json, csv=as_csv))
        return
    kind = one_format(json=as_json, csv=as_csv, markdown=as_markdown, latex=as_latex) or _format_of(output)
    from hybridbatch.evaluation.precision import PRECISIONS
    from hybridbatch.report.baselines import MEASURES
    from hybridbatch.report.run_comparison import ComparisonSettings, compare_runs
    from hybridbatch.terminal.comparison_run import Measuring

    measures = tuple(dict.fromkeys(measure or MEASURES))
    how = ComparisonSettings(measures, per_language, cells, against, test, interval, resamples, seed, alpha)
    measuring = Measuring(
        folder,
        data_location(data, folder),
        dataset,
        _source(dataset, setting),
        (question_prefix, passage_prefix),
        device,
        one_of_names("--precision", precision, PRECISIONS),
        verbose,
    )
    _show(compare_runs(measuring.runs(runs), how), kind, output)


def _format_of(output: Path | None) -> str | None:
    """Return the format that the ending of a file says; None for the terminal."""
    if output is None:
        return None
    if output.suffix not in _SUFFIXES:
        raise UserError("no known ending of a file", path="--output", seen=output.name, allowed=one_of(_SUFFIXES))
    return _SUFFIXES[output.suffix]


def _source(dataset: str | None, settings: list[str] | None) -> SourceSettings | None:
    """Return the settings of a registered data set; None for the name of a report set, which is no registered one."""
    from hybridbatch.foundation.registries import DATASETS

    return named_source(dataset, settings) if dataset in DATASETS.entries() else None


def _show(comparison: RunComparison, kind: str | None, output: Path | None) -> None:
    from hybridbatch.foundation.atomic import write_text
    from hybridbatch.report import run_export
    from hybridbatch.terminal.comparison_run import print_comparison

    if kind is None:
        print_comparison(comparison, console())
        return
    if kind == "json":
        text = json_text(run_export.run_json(comparison)) + "\n"
    else:
        write = {"csv": run_export.run_csv, "markdown": run_export.run_markdown, "latex": run_export.run_latex}[kind]
        text = write(comparison)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_text(output, text)
        typer.echo(output)


def _refuse_single_run(name: str, folder: HomeFolder) -> None:
    """Refuse what names a run, where the name of a study was expected."""
    path = Path(name)
    is_file = path.suffix == ".parquet" or any((path / file).exists() for file in ("config.json", "modules.json"))
    is_run = is_file or "," in name or re.fullmatch(r"[a-z0-9][\w.-]*/[^/]+", name, re.IGNORECASE)
    if is_run and not any(study.name == name for study in folder.studies()):
        raise UserError(
            "two runs at least are needed",
            path="RUNS",
            seen=name,
            remedy="name the run that it is compared with, too; a study alone shows all its trials",
        )


def _compare_study(study: str, folder: HomeFolder, kind: str | None) -> None:
    from hybridbatch.report.collect import collect
    from hybridbatch.report.effects import study_effects
    from hybridbatch.report.export import comparison_csv, comparison_json
    from hybridbatch.search.session import load_study

    load_study(folder, study)
    table = collect(folder.study(study))

    def as_json(table: StudyTable) -> Any:
        return comparison_json(table, study_effects(folder.study(study), table))

    def on_terminal(table: StudyTable, terminal: Console) -> None:
        _print_study(table, study_effects(folder.study(study), table), terminal)

    print_as(kind, table, as_json=as_json, as_csv=comparison_csv, on_terminal=on_terminal)


def _print_study(table: StudyTable, effects: ArmEffects | None, terminal: Console) -> None:
    from hybridbatch.report.effect_tables import effect_notes, effect_tables
    from hybridbatch.report.tables import comparison

    for part in [*comparison(table), *(effect_tables(effects) if effects else [])]:
        terminal.print(part, crop=False)  # on a very narrow terminal lines are broken, never cut
        terminal.print()
    for note in effect_notes(effects) if effects else []:
        terminal.print(note, style="dim")
