"""Commands about models: evaluate, export, register."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import data_location, home_folder, named_source, one_of_names
from hybridbatch.cli.output import console, print_json


@app.command(rich_help_panel="Models")
def evaluate(
    model: options.Model,
    dataset: options.Dataset,
    setting: options.Setting = None,
    question_prefix: options.QuestionPrefix = None,
    passage_prefix: options.PassagePrefix = None,
    scores: options.ScoresFile = None,
    device: options.Device = "cpu",
    precision: options.EncodingPrecision = "fp32",
    keep_embeddings: Annotated[
        bool,
        typer.Option(
            "--keep-embeddings/--encode-again", help="Take embeddings from the cache, and keep them there for later."
        ),
    ] = True,
    cells: Annotated[
        bool, typer.Option("--cells", help="Show mAP and language of the best answer by pair of languages.")
    ] = False,
    home: options.Home = None,
    data: options.DataRoot = None,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Measure any encoder on a data set: exact mAP, recall, nDCG, MRR and language bias."""
    from hybridbatch.evaluation.precision import PRECISIONS
    from hybridbatch.terminal.evaluation_run import run_evaluation
    from hybridbatch.terminal.result_view import print_result, result_json

    folder = home_folder(home)
    result = run_evaluation(
        model,
        named_source(dataset, setting),
        data_location(data, folder),
        folder,
        prefixes=(question_prefix, passage_prefix),
        device=device,
        precision=one_of_names("--precision", precision, PRECISIONS),
        keep_embeddings=keep_embeddings,
        scores=scores,
        verbose=verbose,
    )
    print_json(result_json(result)) if as_json else print_result(result, console(), cells)


@app.command(rich_help_panel="Models")
def export(
    model: Annotated[str, typer.Argument(metavar="TRIAL", help="STUDY/NUMBER, STUDY/best, or a model folder.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a model that is there already.")] = False,
    home: options.Home = None,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Write a trial's model as a folder that SentenceTransformer(DIR) loads, with a model card."""
    from dataclasses import asdict

    from hybridbatch.terminal.export_run import run_export

    done = run_export(model, folder, home_folder(home), force=force, verbose=verbose)
    if as_json:
        print_json({"model": done.model, "folder": done.folder, **asdict(done.encoder)})
    else:
        typer.echo(f"{done.model} is in {folder}: SentenceTransformer({str(folder)!r}) loads it")


@app.command(rich_help_panel="Models")
def register(
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="STUDY/NUMBER or STUDY/best.")],
    name: Annotated[Optional[str], typer.Option("--name", help="Registered model. Else the name of the study.")] = None,
    alias: Annotated[
        Optional[str], typer.Option("--alias", help="Point this alias at the version, such as champion.")
    ] = None,
    home: options.Home = None,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Bring a trial's model into MLflow's model registry, as a version that leads to the trial's run."""
    from dataclasses import asdict

    from hybridbatch.terminal.registration_run import print_registered, run_registration

    done, address = run_registration(trial, home_folder(home), name=name, alias=alias, verbose=verbose)
    if as_json:
        print_json({**asdict(done), "uri": done.uri, "tracking": address})
    else:
        print_registered(done, address, console())
