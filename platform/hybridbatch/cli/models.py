"""Commands about models: evaluate."""

from __future__ import annotations

from typing import Annotated

import typer

from hybridbatch.cli.application import app
from hybridbatch.cli.options import (
    DataRoot,
    Dataset,
    Device,
    EncodingPrecision,
    Home,
    Json,
    PassagePrefix,
    QuestionPrefix,
    ScoresFile,
    Setting,
    Verbose,
    console,
    data_root,
    home_folder,
    named_source,
    print_json,
)


@app.command(rich_help_panel="Models")
def evaluate(
    model: Annotated[str, typer.Argument(help="Folder or hub name of an encoder; a trial: STUDY/NUMBER, STUDY/best.")],
    dataset: Dataset,
    setting: Setting = None,
    question_prefix: QuestionPrefix = None,
    passage_prefix: PassagePrefix = None,
    scores: ScoresFile = None,
    device: Device = "cpu",
    precision: EncodingPrecision = "fp32",
    keep_embeddings: Annotated[
        bool,
        typer.Option(
            "--keep-embeddings/--encode-again", help="Take embeddings from the cache, and keep them there for later."
        ),
    ] = True,
    cells: Annotated[
        bool, typer.Option("--cells", help="Show mAP and language of the best answer by pair of languages.")
    ] = False,
    home: Home = None,
    data: DataRoot = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure any encoder on a data set: exact mAP, recall, nDCG, MRR and language bias."""
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.terminal.evaluation_run import check_precision, run_evaluation
    from hybridbatch.terminal.result_view import print_result, result_json

    folder = home_folder(home)
    source = named_source(dataset, setting or [])
    location = DataLocation(data_root(data, folder), folder.cache)
    prefixes = (question_prefix, passage_prefix)
    result = run_evaluation(
        model,
        source,
        location,
        folder,
        prefixes=prefixes,
        device=device,
        precision=check_precision(precision),
        keep_embeddings=keep_embeddings,
        scores=scores,
        verbose=verbose,
    )
    if as_json:
        print_json(result_json(result))
    else:
        print_result(result, console(), cells)
