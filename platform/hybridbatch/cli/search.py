"""The command that searches a corpus in shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import data_location, home_folder, named_source
from hybridbatch.cli.output import console, print_json


@app.command(rich_help_panel="Models")
def search(
    model: options.Model,
    dataset: options.Dataset,
    setting: options.Setting = None,
    shards: Annotated[int, typer.Option(min=1, help="Parts that the corpus is encoded and searched in.")] = 4,
    workers: Annotated[
        Optional[int], typer.Option(min=1, help="Worker processes on the cluster; else what fits.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Length of the list of each question.")] = 100,
    index: Annotated[
        Optional[list[str]],
        typer.Option(help="Measure an approximate index, too, named as faiss does: 'IVF1024,Flat;nprobe=16'."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the lists to this file, .parquet or .trec. A TREC run names passages by their row in the "
            "corpus; trec_eval breaks exact ties by name, not by row.",
        ),
    ] = None,
    scores: options.ScoresFile = None,
    store: Annotated[Literal["float32", "float16"], typer.Option(help="How embeddings are stored.")] = "float32",
    question_prefix: options.QuestionPrefix = None,
    passage_prefix: options.PassagePrefix = None,
    device: options.Device = "cpu",
    local: Annotated[bool, typer.Option("--local", help="In this process, one shard at a time, without Ray.")] = False,
    address: options.Address = None,
    no_token: options.NoToken = False,
    home: options.Home = None,
    data: options.DataRoot = None,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Search a corpus of any size in shards: exact lists, measures over whole rankings, approximate indices."""
    from hybridbatch.evaluation.corpus_evaluation import SearchSettings
    from hybridbatch.terminal.search_run import run_search
    from hybridbatch.terminal.search_view import print_search, search_json

    folder = home_folder(home)
    found = run_search(
        model,
        named_source(dataset, setting),
        data_location(data, folder),
        folder,
        SearchSettings(shards, top, tuple(index or ()), store, (question_prefix, passage_prefix), device),
        workers=workers,
        local=local,
        address=address,
        no_token=no_token,
        output=output,
        scores=scores,
        verbose=verbose,
    )
    print_json(search_json(found)) if as_json else print_search(found, console())
