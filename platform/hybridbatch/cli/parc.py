"""Commands about retrievers in use: parc."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from hybridbatch.cli import options
from hybridbatch.cli.application import app
from hybridbatch.cli.options import data_location, home_folder, named_source, one_of_names
from hybridbatch.cli.output import one_format, print_as
from hybridbatch.foundation.errors import UserError

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
    retriever: options.Model,
    language_model: LanguageModel,
    dataset: options.Dataset = "xnli",
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
    setting: options.Setting = None,
    question_prefix: options.QuestionPrefix = None,
    passage_prefix: options.PassagePrefix = None,
    predictions: Predictions = None,
    device: options.Device = "cpu",
    home: options.Home = None,
    data: options.DataRoot = None,
    as_json: options.Json = False,
    as_csv: Csv = False,
    verbose: options.Verbose = False,
) -> None:
    """Classify pairs with a masked language model whose prompts hold labelled neighbours that a retriever found."""
    from hybridbatch.evaluation.parc import ParcPlan
    from hybridbatch.evaluation.parc_data import AGGREGATES, LABELS, RETRIEVE_BY, ParcSettings
    from hybridbatch.report.parc import parc_csv, parc_json
    from hybridbatch.report.parc import predictions as predicted_pairs
    from hybridbatch.terminal.parc_run import run_parc
    from hybridbatch.terminal.parc_view import print_parc

    kind = one_format(json=as_json, csv=as_csv)
    folder = home_folder(home)
    plan = ParcPlan(
        source=named_source(dataset, setting),
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
    table = run_parc(retriever, language_model, plan, data_location(data, folder), folder, verbose=verbose)
    if predictions is not None:
        from hybridbatch.evaluation.score_files import write_scores

        write_scores(predicted_pairs(table), predictions)
    print_as(kind, table, as_json=parc_json, as_csv=parc_csv, on_terminal=print_parc)


def _words(given: list[str]) -> dict[str, str]:
    words: dict[str, str] = {}
    for one in given:
        label, equals, word = one.partition("=")
        if not equals or not label or not word.strip():
            raise UserError("not a word of a label", path="--label-word", seen=one, allowed="LABEL=WORD")
        words[label] = word.strip()
    return words
