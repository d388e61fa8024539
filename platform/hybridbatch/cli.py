"""The command line: parsing, calling, printing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from hybridbatch import __version__
from hybridbatch.foundation.errors import HybridBatchError, UserError, readable_disk_errors

if TYPE_CHECKING:
    from rich.console import Console

    from hybridbatch.spec.folders import HomeFolder
    from hybridbatch.spec.sources import SourceSettings

app = typer.Typer(
    name="hybridbatch",
    help="Search and ablation of multilingual dense retrievers trained with hybrid batches.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Home folder of studies and stores. Else HYBRIDBATCH_HOME, else .hybridbatch here."),
]
DataRoot = Annotated[
    Optional[Path],
    typer.Option("--data", envvar="HYBRIDBATCH_DATA", help="Folder that relative paths of data and models start from."),
]
File = Annotated[Path, typer.Argument(help="The experiment file (YAML).")]
Study = Annotated[str, typer.Argument(help="Name of a study in the home folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]
Trials = Annotated[Optional[int], typer.Option("--trials", min=0, help="Searched trials, in place of search.trials.")]
Local = Annotated[bool, typer.Option("--local", help="In this process, one trial at a time, without Ray.")]
Address = Annotated[Optional[str], typer.Option("--address", help="A running Ray cluster; else one is started here.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what libraries print, too.")]


def _home(option: Path | None) -> HomeFolder:
    from hybridbatch.spec.folders import HomeFolder

    return HomeFolder.choose(option)


def _data_root(option: Path | None, home: HomeFolder, study: str | None = None) -> Path:
    """Return the data folder: the option, else the one that the study was last run with, else the home folder's."""
    remembered = home.study(study).read_data_root() if study and not option else None
    return (option or remembered or home.data).expanduser().absolute()


def _console() -> Console:
    from rich.console import Console

    return Console()


@contextmanager
def _about(file: Path) -> Iterator[None]:
    """Name ``file`` in messages that know a dotted path and not whose."""
    try:
        yield
    except UserError as error:
        if error.path and error.file is None:
            error.file = file
        raise


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


@app.command()
def plan(file: File, home: Home = None, data: DataRoot = None, trials: Trials = None, as_json: Json = False) -> None:
    """Show what would run: data, trials, batches, resources. Starts nothing."""
    from hybridbatch.search.preview import preview
    from hybridbatch.spec.reader import read_experiment
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.terminal.plan_view import print_plan

    folder = _home(home)
    experiment = read_experiment(file)
    with _about(file):
        root = _data_root(data, folder, experiment.name)
        planned = preview(experiment, DataLocation(root, folder.cache), trials)
    if as_json:
        _print_json(asdict(planned))
    else:
        print_plan(planned, experiment, _console())


@app.command()
def run(
    file: File,
    home: Home = None,
    data: DataRoot = None,
    trials: Trials = None,
    local: Local = False,
    address: Address = None,
    verbose: Verbose = False,
) -> None:
    """Run the study of an experiment file, or go on with it."""
    from hybridbatch.spec.reader import read_experiment
    from hybridbatch.terminal.study_run import run_study

    folder = _home(home)
    experiment = read_experiment(file)
    root = _data_root(data, folder, experiment.name)
    with _about(file):
        code = run_study(experiment, folder, root, trials=trials, local=local, address=address, verbose=verbose)
    raise typer.Exit(code)


@app.command()
def resume(
    study: Study,
    home: Home = None,
    data: DataRoot = None,
    local: Local = False,
    address: Address = None,
    verbose: Verbose = False,
) -> None:
    """Go on with a study after whatever ended it: the same trials, from their checkpoints."""
    from hybridbatch.search.session import load_study
    from hybridbatch.terminal.study_run import run_study

    folder = _home(home)
    experiment = load_study(folder, study)
    root = _data_root(data, folder, study)
    with _about(folder.study(study).experiment):
        code = run_study(experiment, folder, root, local=local, address=address, verbose=verbose)
    raise typer.Exit(code)


@app.command()
def status(
    study: Annotated[
        Optional[str], typer.Argument(help="Name of a study in the home folder; all of them when left out.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show how many trials are complete, pruned, failed, running and waiting, and the best one."""
    from hybridbatch.terminal.status_view import all_states, print_states, print_status, study_status

    folder = _home(home)
    if study is None:
        states = all_states(folder)
        _print_json(states) if as_json else print_states(states, folder, _console())
        return
    state = study_status(folder, study)
    _print_json(state) if as_json else print_status(state, _console())


@app.command()
def compare(
    study: Study,
    home: Home = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one line per trial.")] = False,
) -> None:
    """Compare the trials of a study: objectives, measures, baselines against seed noise, the Pareto front."""
    from hybridbatch.report.collect import collect
    from hybridbatch.search.session import load_study

    folder = _home(home)
    load_study(folder, study)
    table = collect(folder.study(study))
    if as_json:
        from hybridbatch.report.export import comparison_json

        _print_json(comparison_json(table))
    elif as_csv:
        from hybridbatch.report.export import comparison_csv

        typer.echo(comparison_csv(table), nl=False)
    else:
        from hybridbatch.report.tables import comparison

        console = _console()
        for part in comparison(table):
            console.print(part, crop=False)  # on a very narrow terminal lines are broken, never cut
            console.print()


@app.command()
def report(
    study: Study,
    home: Home = None,
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="The HTML file to write.")] = None,
) -> None:
    """Write a self-contained HTML page about a study."""
    from hybridbatch.report.collect import collect
    from hybridbatch.report.page import write_page
    from hybridbatch.search.session import load_study

    folder = _home(home)
    load_study(folder, study)
    path = output or folder.study(study).path / "report.html"
    typer.echo(write_page(collect(folder.study(study)), path))


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Folder or hub name of an encoder, or STUDY/NUMBER of a trial.")],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Registered name, such as xquad-r.")],
    setting: Annotated[
        Optional[list[str]],
        typer.Option(
            "--set", help="A setting of the data set, such as --set path=pairs.csv or --set 'languages=[en, de]'."
        ),
    ] = None,
    question_prefix: Annotated[
        str | None, typer.Option(help="Put before questions, in place of the model's own.")
    ] = None,
    passage_prefix: Annotated[
        str | None, typer.Option(help="Put before passages, in place of the model's own.")
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="Write the score of every question to this parquet file.")] = None,
    device: Annotated[str, typer.Option(help="Where to encode: cpu, cuda, cuda:1.")] = "cpu",
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
    from hybridbatch.terminal.evaluation_run import run_evaluation
    from hybridbatch.terminal.result_view import print_result, result_json

    folder = _home(home)
    source = _source(dataset, setting or [])
    location = DataLocation(_data_root(data, folder), folder.cache)
    prefixes = (question_prefix, passage_prefix)
    result = run_evaluation(model, source, location, folder, prefixes, device, scores, verbose)
    if as_json:
        _print_json(result_json(result))
    else:
        print_result(result, _console(), cells)


def _source(dataset: str, settings: list[str]) -> SourceSettings:
    from hybridbatch.spec.reader import read_source

    content: dict[str, str] = {}
    for one in settings:
        name, equals, value = one.partition("=")
        if not equals:
            raise UserError("not a setting", path="--set", seen=one, allowed="NAME=VALUE")
        content[name] = value
    return read_source(dataset, content)


@app.command()
def ui(
    home: Home = None,
    mlflow_port: Annotated[int, typer.Option(help="Port of MLflow's page.")] = 5000,
    optuna_port: Annotated[int, typer.Option(help="Port of Optuna's page.")] = 8080,
) -> None:
    """Open MLflow's and Optuna's own pages over the embedded stores, on this machine only."""
    from hybridbatch.terminal.servers import serve

    raise typer.Exit(serve(_home(home), mlflow_port, optuna_port, _console()))


@app.command()
def doctor(
    home: Home = None,
    data: DataRoot = None,
    ledger: Annotated[Optional[str], typer.Option(help="URL of an Optuna storage to look at.")] = None,
    tracking: Annotated[Optional[str], typer.Option(help="URL of an MLflow store to look at.")] = None,
    as_json: Json = False,
) -> None:
    """Say what works here, and how to mend what does not."""
    from hybridbatch.terminal.doctor_view import run_doctor

    folder = _home(home)
    raise typer.Exit(run_doctor(folder, _data_root(data, folder), ledger, tracking, as_json))


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="As a reference for people.")] = False,
) -> None:
    """Print the JSON Schema of experiment files, for editors."""
    if markdown:
        from hybridbatch.spec.reference import experiment_reference

        typer.echo(experiment_reference(), nl=False)
    else:
        from hybridbatch.spec.schema import experiment_schema

        _print_json(experiment_schema())


def _version(shown: bool) -> None:
    if shown:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; a user's mistake ends it with a message and exit code 2, never with a traceback."""
    try:
        with readable_disk_errors(Path.cwd()):
            app()
    except HybridBatchError as error:
        typer.echo(error.render(), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
