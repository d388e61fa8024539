"""What an experiment file says of a data set: the part that all registered data sets share."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, ValidationError

from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.remote_files import RemoteFile
from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    from hybridbatch.datasets.labelled_pairs import LabelledPairs
    from hybridbatch.datasets.parallel_pairs import ParallelPairs
    from hybridbatch.datasets.retrieval_task import RetrievalTask


OWN_FILE = "the user's own file"


def _each_once(languages: tuple[str, ...]) -> tuple[str, ...]:
    if not languages or len(set(languages)) < len(languages):
        raise ValueError(f"languages must be named, each once, but got {list(languages)}")
    return languages


Languages = Annotated[tuple[str, ...], AfterValidator(_each_once)]
"""Languages to use, at least one, in the order given."""


@dataclass(frozen=True)
class DataLocation:
    """Where data lies on this machine; never part of what identifies a trial.

    Attributes:
        root: The folder that relative paths of data sets and model folders start from (``HYBRIDBATCH_DATA``).
        cache: The folder of memory-mapped copies, safe to delete.
    """

    root: Path
    cache: Path

    def resolve(self, path: str) -> Path:
        """Return ``path`` itself when absolute, else below :attr:`root`."""
        return Path(path).expanduser() if Path(path).expanduser().is_absolute() else self.root / path


class SourceSettings(Settings):
    """One data set as the experiment file names it.

    A class declares what its data set is: ``description``, ``source``, ``licence``, ``citation``, and where they can be
    known ``revision`` (the pinned version of the source), ``present`` (the languages of the complete data set; empty
    where they are those of the file) and ``statistics`` (what the complete data set holds: any of ``languages``,
    ``items``, ``questions``, ``candidates``, ``relevant``, ``pairs``). ``hybridbatch data stats`` compares the
    statistics with what it finds when the settings are the defaults, wherever the files lie.

    Attributes:
        dataset: The registered name.
        languages: The languages to use, in the order given; None means all that the data set has.
    """

    dataset: str
    languages: Languages | None = None

    description: ClassVar[str]
    source: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    revision: ClassVar[str] = OWN_FILE
    present: ClassVar[tuple[str, ...]] = ()
    statistics: ClassVar[Mapping[str, int]] = {}

    @classmethod
    def published(cls) -> tuple[SourceSettings, ...]:
        """Return settings that together need every file that can be downloaded: the defaults, if they say enough.

        A data set of several collections returns the settings of each.
        """
        try:
            return (cls.model_validate({}),)
        except ValidationError:
            return ()

    def remote_files(self) -> tuple[RemoteFile, ...]:
        """Return the files that these settings need and that can be downloaded; none for a file of the user's own."""
        return ()

    def data_command(self, verb: str) -> str:
        """Return the command ``hybridbatch data VERB`` on these settings, ready for a shell."""
        words = ["hybridbatch", "data", verb, self.dataset]
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name != "dataset" and value != field.default:
                told = self.model_dump(mode="json", include={name})[name]
                words += ["--set", f"{name}={told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)}"]
        return shlex.join(words)

    def pairs(self, location: DataLocation) -> ParallelPairs:
        """Load the data set as training pairs.

        Raises:
            UserError: If the data set has none, or its files are missing or broken.
        """
        raise UserError(
            "this data set has no training pairs",
            seen=self.dataset,
            remedy="name it under data.selection or data.report, and another one under data.train",
        )

    def labelled_pairs(self, location: DataLocation) -> LabelledPairs:
        """Load the data set as pairs of texts with a label.

        Raises:
            UserError: If the data set has none, or its files are missing or broken.
        """
        raise UserError(
            "this data set has no labelled pairs", seen=self.dataset, remedy="name another one, such as xnli"
        )

    def task(self, location: DataLocation) -> RetrievalTask:
        """Load the data set as questions, candidates and the candidates that answer each question.

        Raises:
            UserError: If the data set has none, or its files are missing or broken.
        """
        raise UserError(
            "this data set has no retrieval task",
            seen=self.dataset,
            remedy="name it under data.train, and another one under data.selection or data.report",
        )
