"""Options and arguments that several commands share, and what they choose."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional, TypeVar

import typer

from hybridbatch.foundation.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from hybridbatch.spec.folders import HomeFolder
    from hybridbatch.spec.sources import DataLocation, SourceSettings

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
Model = Annotated[str, typer.Argument(help="Folder or hub name of an encoder; a trial: STUDY/NUMBER, STUDY/best.")]
Models = Annotated[
    list[str],
    typer.Argument(
        help="Folders or hub names of encoders; trials: STUDY/NUMBER, STUDY/best. NAME=MODEL gives one a name.",
        metavar="MODELS...",
    ),
]
Dataset = Annotated[str, typer.Option("--dataset", "-d", help="Registered name, such as xquad-r.")]
Setting = Annotated[
    Optional[list[str]],
    typer.Option(
        "--set", help="A setting of the data set, such as --set path=pairs.csv or --set 'languages=\\[en, de]'."
    ),
]
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
Trials = Annotated[Optional[int], typer.Option("--trials", min=0, help="Searched trials, in place of search.trials.")]
Local = Annotated[bool, typer.Option("--local", help="In this process, one trial at a time, without Ray.")]
Address = Annotated[Optional[str], typer.Option("--address", help="A running Ray cluster; else one is started here.")]
Dashboard = Annotated[
    str,
    typer.Option(
        "--address", envvar="RAY_API_SERVER_ADDRESS", help="The cluster's dashboard, such as http://127.0.0.1:8265."
    ),
]
NoToken = Annotated[
    bool, typer.Option("--no-token", help="Talk to a cluster beyond this machine although it asks for no token.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what libraries print, too.")]


def home_folder(option: Path | None) -> HomeFolder:
    """Return the home folder: the option, else the environment's, else the default."""
    from hybridbatch.spec.folders import HomeFolder

    return HomeFolder.choose(option)


def data_location(option: Path | None, home: HomeFolder, study: str | None = None) -> DataLocation:
    """Return where data lies: the option, else where the study was last run with it, else the home folder's place."""
    from hybridbatch.spec.sources import DataLocation

    remembered = home.study(study).read_data_root() if study and not option else None
    return DataLocation((option or remembered or home.data).expanduser().absolute(), home.cache)


def named_source(dataset: str, settings: list[str] | None) -> SourceSettings:
    """Return the data set that is named on the command line, with its settings as NAME=VALUE.

    Raises:
        UserError: If the name or a setting is not known.
    """
    from hybridbatch.spec.reader import read_source

    content: dict[str, str] = {}
    for one in settings or []:
        name, equals, value = one.partition("=")
        if not equals:
            raise UserError("not a setting", path="--set", seen=one, allowed="NAME=VALUE")
        content[name] = value
    return read_source(dataset, content)


@contextmanager
def about(file: Path) -> Iterator[None]:
    """Name ``file`` in messages that know a dotted path and not whose; an option is nobody's."""
    try:
        yield
    except UserError as error:
        if error.path and error.file is None and not error.path.startswith("--"):
            error.file = file
        raise


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
