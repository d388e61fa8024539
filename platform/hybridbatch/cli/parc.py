"""Commands about retrievers in use: parc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from hybridbatch.cli.application import app
from hybridbatch.cli.options import (
    DataRoot,
    Dataset,
    Device,
    Home,
    Json,
    PassagePrefix,
    QuestionPrefix,
    Setting,
    Verbose,
    console,
    data_root,
    home_folder,
    named_source,
    one_of_names,
    print_json,
)
from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    from hybridbatch.report.parc import ParcTable

Retriever = Annotated[str, typer.Argument(help="Folder or hub name of an encoder, or STUDY/NUMBER of a trial.")]
LanguageModel = Annotated[
    str, typer.Option("--language-model", help="Folder or hub name of a masked language model, with its head.")
]
Neighbours = Annotated[int, typer.Option("--neighbours", "-k", min=1, help="Neighbours of each pair.")]
Labels = Annotated[
    str, typer.Option(help="Labels of neighbours: true ones, or predicted by the language model (unlabelled setting).")
]
Aggregate = Annotated[
    str, typer.Option(help="What becomes of several neighbours: mean of probabilities, vote, concatenation.")
]
RetrieveBy = Annotated[str, typer.Option(help="What a pair is searched with: the whole pair, or its premise.")]
Pool = Annotated[str, typer.Option(help="Where neighbours come from: held-out items, or the name of another split.")]
PoolLanguage = Annotated[str, typer.Option(help="Language of the neighbours.")]
PoolShare = Annotated[
    float, typer.Option("--pool-share", min=0.01, max=0.99, help="Share of the items that is the pool when held out.")
]
Pattern = Annotated[str, typer.Option(help="The cloze pattern.")]
LabelWord = Annotated[
    Optional[list[str]], typer.Option("--label-word", help="The word of a label, such as neutral=Perhaps.")
]
Longest = Annotated[Optional[int], typer.Option(min=1, help="Longest prompt in tokens; 512 when left out.")]
Items = Annotated[Optional[int], typer.Option("--items", min=1, help="Ask about at most so many items.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the split and of random neighbours.")]
Predictions = Annotated[
    Optional[Path], typer.Option("--predictions", help="Write what is predicted for every pair to this parquet file.")
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, one line per language and arm.")]


@app.command(rich_help_panel="Models")
def parc(
    retriever: Retriever,
    language_model: LanguageModel,
    dataset: Dataset = "xnli",
    neighbours: Neighbours = 1,
    labels: Labels = "true",
    aggregate: Aggregate = "mean",
    retrieve_by: RetrieveBy = "pair",
    pool: Pool = "held-out",
    pool_language: PoolLanguage = "en",
    pool_share: PoolShare = 0.5,
    pattern: Pattern = "{premise}? {mask}, {hypothesis}",
    label_word: LabelWord = None,
    longest: Longest = None,
    items: Items = None,
    seed: Seed = 0,
    setting: Setting = None,
    question_prefix: QuestionPrefix = None,
    passage_prefix: PassagePrefix = None,
    predictions: Predictions = None,
    device: Device = "cpu",
    home: Home = None,
    data: DataRoot = None,
    as_json: Json = False,
    as_csv: Csv = False,
    verbose: Verbose = False,
) -> None:
    """Classify pairs with a masked language model whose prompts hold labelled neighbours that a retriever found."""
    from hybridbatch.evaluation.parc import ParcPlan
    from hybridbatch.evaluation.parc_data import AGGREGATES, LABELS, RETRIEVE_BY, ParcSettings
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.terminal.parc_run import run_parc

    folder = home_folder(home)
    plan = ParcPlan(
        source=named_source(dataset, setting or []),
        settings=ParcSettings(
            neighbours=neighbours,
            labels=one_of_names("--labels", labels, LABELS),
            aggregate=one_of_names("--aggregate", aggregate, AGGREGATES),
            retrieve_by=one_of_names("--retrieve-by", retrieve_by, RETRIEVE_BY),
            pool=pool,
            pool_language=pool_language,
            pool_share=pool_share,
            items=items,
            pattern=pattern,
            longest=longest,
            seed=seed,
        ),
        words=_words(label_word or []),
        prefixes=(question_prefix, passage_prefix),
        device=device,
    )
    location = DataLocation(data_root(data, folder), folder.cache)
    table = run_parc(retriever, language_model, plan, location, folder, verbose=verbose)
    if predictions is not None:
        from hybridbatch.evaluation.score_files import write_scores
        from hybridbatch.report import parc as report

        write_scores(report.predictions(table), predictions)
    _show(table, as_json, as_csv)


def _show(table: ParcTable, as_json: bool, as_csv: bool) -> None:
    if as_json:
        from hybridbatch.report.parc import parc_json

        print_json(parc_json(table))
    elif as_csv:
        from hybridbatch.report.parc import parc_csv

        typer.echo(parc_csv(table), nl=False)
    else:
        from hybridbatch.terminal.parc_view import print_parc

        print_parc(table, console())


def _words(given: list[str]) -> dict[str, str]:
    words: dict[str, str] = {}
    for one in given:
        label, equals, word = one.partition("=")
        if not equals or not label or not word.strip():
            raise UserError("not a word of a label", path="--label-word", seen=one, allowed="LABEL=WORD")
        words[label] = word.strip()
    return words
