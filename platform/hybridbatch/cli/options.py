"""What commands share: options, and what these options choose."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar

import typer

from hybridbatch.foundation.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

    from hybridbatch.spec.folders import HomeFolder
    from hybridbatch.spec.sources import SourceSettings

Name = TypeVar("Name", bound=str)
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
Dataset = Annotated[str, typer.Option("--dataset", "-d", help="Registered name, such as xquad-r.")]
QuestionPrefix = Annotated[
    Optional[str], typer.Option(help="Put before questions where a model encodes, in place of its own.")
]
PassagePrefix = Annotated[
    Optional[str], typer.Option(help="Put before passages where a model encodes, in place of its own.")
]
Device = Annotated[str, typer.Option(help="Where to encode: cpu, cuda, cuda:1.")]
EncodingPrecision = Annotated[
    str, typer.Option("--precision", help="In which precision to encode: fp32, bf16, int8. Scores are float32.")
]
ScoresFile = Annotated[
    Optional[Path], typer.Option("--scores", help="Write the score of every question to this parquet file.")
]
Setting = Annotated[
    Optional[list[str]],
    typer.Option(
        "--set", help="A setting of the data set, such as --set path=pairs.csv or --set 'languages=\\[en, de]'."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]
Trials = Annotated[Optional[int], typer.Option("--trials", min=0, help="Searched trials, in place of search.trials.")]
Local = Annotated[bool, typer.Option("--local", help="In this process, one trial at a time, without Ray.")]
Address = Annotated[Optional[str], typer.Option("--address", help="A running Ray cluster; else one is started here.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what libraries print, too.")]


def home_folder(option: Path | None) -> HomeFolder:
    """Return the home folder: the option, else the environment's, else the default."""
    from hybridbatch.spec.folders import HomeFolder

    return HomeFolder.choose(option)


def data_root(option: Path | None, home: HomeFolder, study: str | None = None) -> Path:
    """Return the data folder: the option, else the one that the study was last run with, else the home folder's."""
    remembered = home.study(study).read_data_root() if study and not option else None
    return (option or remembered or home.data).expanduser().absolute()


def named_source(dataset: str, settings: list[str]) -> SourceSettings:
    """Return the data set that is named on the command line, with its settings as NAME=VALUE.

    Raises:
        UserError: If the name or a setting is not known.
    """
    from hybridbatch.spec.reader import read_source

    content: dict[str, str] = {}
    for one in settings:
        name, equals, value = one.partition("=")
        if not equals:
            raise UserError("not a setting", path="--set", seen=one, allowed="NAME=VALUE")
        content[name] = value
    return read_source(dataset, content)


def console() -> Console:
    """Return the terminal."""
    from rich.console import Console

    return Console()


@contextmanager
def about(file: Path) -> Iterator[None]:
    """Name ``file`` in messages that know a dotted path and not whose."""
    try:
        yield
    except UserError as error:
        if error.path and error.file is None:
            error.file = file
        raise


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def one_of_names(option: str, text: str, names: Collection[Name]) -> Name:
    """Return ``text`` as the one of ``names`` that it is.

    Raises:
        UserError: If it is none of them.
    """
    for name in names:
        if name == text:
            return name
    raise UserError(
        f"no such {option.removeprefix('--')}",
        path=option,
        seen=text,
        allowed=", ".join(names),
        remedy=did_you_mean(text, names),
    )


def command_again(context: typer.Context, of_this_machine: Collection[str]) -> str:
    """Return the command as it was given, without options at their defaults and those that depend on the machine.

    Args:
        context: The command with its parameters.
        of_this_machine: Names of the parameters that are left out.
    """
    words = ["hybridbatch", context.command.name or ""]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in of_this_machine or value in (None, False, [], parameter.default):
            continue
        values = value if isinstance(value, list | tuple) else [value]
        of_option = [] if parameter.param_type_name == "argument" else [max(parameter.opts, key=len)]
        words += [word for one in values for word in (*of_option, str(one))]
    return shlex.join(words)
