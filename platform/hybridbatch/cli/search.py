"""The command that searches a corpus in shards."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from hybridbatch.cli.application import app
from hybridbatch.cli.options import (
    Address,
    DataRoot,
    Dataset,
    Device,
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


class StoredAs(StrEnum):
    """How embeddings are stored; scores are float32 either way."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


@app.command(rich_help_panel="Models")
def search(
    model: Annotated[str, typer.Argument(help="Folder or hub name of an encoder; a trial: STUDY/NUMBER, STUDY/best.")],
    dataset: Dataset,
    setting: Setting = None,
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
    scores: ScoresFile = None,
    store: Annotated[StoredAs, typer.Option(help="How embeddings are stored.")] = StoredAs.FLOAT32,
    question_prefix: QuestionPrefix = None,
    passage_prefix: PassagePrefix = None,
    device: Device = "cpu",
    local: Annotated[bool, typer.Option("--local", help="In this process, one shard at a time, without Ray.")] = False,
    address: Address = None,
    home: Home = None,
    data: DataRoot = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Search a corpus of any size in shards: exact lists, measures over whole rankings, approximate indices."""
    from hybridbatch.evaluation.corpus_evaluation import SearchSettings
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.terminal.search_run import run_search
    from hybridbatch.terminal.search_view import print_search, search_json

    folder = home_folder(home)
    found = run_search(
        model,
        named_source(dataset, setting or []),
        DataLocation(data_root(data, folder), folder.cache),
        folder,
        SearchSettings(shards, top, tuple(index or ()), store.value, (question_prefix, passage_prefix), device),
        workers=workers,
        local=local,
        address=address,
        output=output,
        scores=scores,
        verbose=verbose,
    )
    print_json(search_json(found)) if as_json else print_search(found, console())
