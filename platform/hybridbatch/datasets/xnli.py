"""XNLI from parquet: which of three sentences follows from a premise.

Source: Conneau et al., XNLI: Evaluating Cross-lingual Sentence Representations, arXiv 1809.05053.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from hybridbatch.datasets.labelled_pairs import LabelledPair, LabelledPairs
from hybridbatch.datasets.local_files import require_files
from hybridbatch.datasets.memory_mapped import TaskColumns, store_task
from hybridbatch.datasets.parallel_pairs import check_languages
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.datasets.text_table import TextTable, Wanted, parquet_columns, read_text_table
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import DATASETS
from hybridbatch.spec.remote_files import RemoteFile
from hybridbatch.spec.sources import DataLocation, SourceSettings

REVISION = "b8dd5d7af51114dbda02c0e3f6133f332186418e"  # of huggingface.co/datasets/facebook/xnli
LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
LABELS = ("entailment", "neutral", "contradiction")  # in the order of the hub's numbers
WRITTEN = {label: label for label in LABELS} | {str(number): label for number, label in enumerate(LABELS)}
COLUMNS = ("premise", "hypothesis", "label")
CHECKSUMS = {  # sha256 of the test split, where somebody has published it
    "en": "8f0fd1e105091e0f11cd37f9b2bc382f16de9949aa9471e1366b2605ba037167",
    "es": "c0159c9a734d7d0683d20a9850adcf3e214a49179b6517fea5868744bfd99886",
}


@dataclass(frozen=True)
class Triple:
    """A premise and its three hypotheses.

    Attributes:
        premise: The premise.
        hypotheses: The hypotheses, in the order of the file.
        labels: The label of each.
        identity: What the file calls the three rows, sorted; empty where it does not name them.
    """

    premise: str
    hypotheses: tuple[str, ...]
    labels: tuple[str, ...]
    identity: tuple[str, ...]


@DATASETS.register("xnli")
class Xnli(SourceSettings):
    """Settings of XNLI.

    A premise is a question, and all hypotheses are candidates, in the order of the file. Of the three hypotheses that
    were written for a premise the entailed one is relevant, in each language, the contradiction stands against it,
    and the neutral one is a candidate like those of other premises.

    An item is a premise: three rows in a row. Languages join by their order, so all have as many rows; in which order
    a premise's three hypotheses come may differ between languages (it does in Russian, rows 2805 and 2806 of test). A
    premise that was used twice (test: rows 3042 and 4623 in English, worded differently in German) is two items, each
    with its own hypotheses. Hypotheses with equal texts are kept, also where one text is both entailed and neutral.

    Attributes:
        folder: Folder with one folder a language, absolute or below the data folder. In it lies ``SPLIT.parquet`` or,
            as on the hub, ``SPLIT-00000-of-00001.parquet``, with the columns ``premise``, ``hypothesis`` and ``label``
            (a name, or 0 entailment, 1 neutral, 2 contradiction). A column ``item`` names the rows: it is optional,
            and must then agree between languages.
        split: ``test`` (1,670 premises a language) or ``validation`` (830).
    """

    dataset: Literal["xnli"] = "xnli"
    folder: Annotated[str, Field(min_length=1)] = "eval/xnli"
    split: Literal["test", "validation"] = "test"

    description: ClassVar[str] = (
        "XNLI: a premise and three hypotheses, one that follows, one that contradicts; 1,670 premises parallel in 15 "
        "languages."
    )
    source: ClassVar[str] = "https://huggingface.co/datasets/facebook/xnli"
    revision: ClassVar[str] = REVISION
    present: ClassVar[tuple[str, ...]] = LANGUAGES
    statistics: ClassVar[Mapping[str, int]] = {
        "languages": 15, "items": 1_670, "questions": 25_050, "candidates": 75_150, "relevant": 375_750,
    }  # fmt: skip
    licence: ClassVar[str] = "CC BY-NC 4.0"
    citation: ClassVar[str] = "Conneau et al., XNLI: Evaluating Cross-lingual Sentence Representations, EMNLP 2018"

    def remote_files(self) -> tuple[RemoteFile, ...]:
        """Return the files of the split as they lie on the hub."""
        return tuple(
            RemoteFile(
                url=f"{self.source}/resolve/{REVISION}/{file}",
                path=f"{self.folder}/{file}",
                checksum=f"sha256:{CHECKSUMS[language]}" if self.split == "test" and language in CHECKSUMS else None,
            )
            for language in self._languages()
            for file in [self._names(language)[-1]]
        )

    def task(self, location: DataLocation) -> RetrievalTask:
        """Load premises and hypotheses.

        Raises:
            UserError: If a file is missing, three rows do not share a premise and hold each label once, or the
                languages are not parallel; it names the file and the record.
        """
        languages = self._languages()
        contents = self._contents(location)
        columns = TaskColumns()
        entailed: list[list[int]] = [[] for _ in contents[0]]
        contradicted: list[dict[str, int]] = [{} for _ in contents[0]]
        for language, triples in zip(languages, contents, strict=True):
            for number, triple in enumerate(triples):
                first = len(columns.candidates)
                columns.candidates += triple.hypotheses
                columns.candidate_languages += [language] * len(triple.hypotheses)
                entailed[number].append(first + triple.labels.index("entailment"))
                contradicted[number][language] = first + triple.labels.index("contradiction")
                columns.items.append(f"{self.split}-{number}")
                columns.languages.append(language)
                columns.questions.append(triple.premise)
                columns.relevant.append(entailed[number])
                columns.contrasts.append(contradicted[number])
        return store_task(f"xnli-{self.split}", languages, location.cache, columns)

    def labelled_pairs(self, location: DataLocation) -> LabelledPairs:
        """Load premises with each of their hypotheses; those of an item stand in the order of the labels.

        Raises:
            UserError: As :meth:`task`.
        """
        return LabelledPairs(
            name=f"xnli-{self.split}",
            labels=LABELS,
            pairs={
                language: tuple(
                    LabelledPair(f"{self.split}-{number}", triple.premise, triple.hypotheses[place], label)
                    for number, triple in enumerate(triples)
                    for label, place in enumerate(map(triple.labels.index, LABELS))
                )
                for language, triples in zip(self._languages(), self._contents(location), strict=True)
            },
        )

    def _contents(self, location: DataLocation) -> list[list[Triple]]:
        """Return the premises of each language, checked."""
        folder = location.resolve(self.folder)
        files = [self._file(folder, language) for language in self._languages()]
        require_files(folder, [str(file.relative_to(folder)) for file in files], self.data_command("fetch"))
        contents = [_read_triples(file) for file in files]
        _check_parallel(files, contents)
        return contents

    def _languages(self) -> tuple[str, ...]:
        return check_languages("xnli", self.languages, LANGUAGES)

    def _names(self, language: str) -> tuple[str, str]:
        return f"{language}/{self.split}.parquet", f"{language}/{self.split}-00000-of-00001.parquet"

    def _file(self, folder: Path, language: str) -> Path:
        """Return the file of a language: the first of the names that is there, else the last."""
        places = [folder / name for name in self._names(language)]
        return next((place for place in places if place.is_file()), places[-1])


def _read_triples(file: Path) -> list[Triple]:
    """Return the premises of a file, each with its hypotheses.

    Raises:
        UserError: If the file is broken or its rows do not come in threes with one premise and one of each label.
    """
    has_items = "item" in parquet_columns(file)
    names = [*COLUMNS, "item"] if has_items else COLUMNS
    wanted = Wanted(names={name: name for name in names}, numbers=("item", "label"), renamable=False)
    rows = read_text_table(file, wanted)
    premises, hypotheses, written = (rows.table.column(name).to_pylist() for name in COLUMNS)
    items = rows.table.column("item").to_pylist() if has_items else []
    labels = [_label(file, rows, row, label) for row, label in enumerate(written)]
    triples = []
    for first in range(0, len(premises), 3):
        part = slice(first, first + 3)
        _check_triple(file, rows, first, premises[part], labels[part])
        identity = tuple(sorted(items[part]))
        triples.append(Triple(premises[first], tuple(hypotheses[part]), tuple(labels[part]), identity))
    return triples


def _label(file: Path, rows: TextTable, row: int, written: str) -> str:
    if written not in WRITTEN:
        raise UserError(
            "unknown label",
            file=file,
            path=f"{rows.place(row)} -> label",
            seen=written,
            allowed=", ".join(f"{label} or {number}" for number, label in enumerate(LABELS)),
        )
    return WRITTEN[written]


def _check_triple(file: Path, rows: TextTable, first: int, premises: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse three rows that are not about one premise, or do not hold each label once."""
    if len(set(premises)) > 1:
        problem, seen = "three rows do not share their premise", list(premises)
    elif sorted(labels) != sorted(LABELS):
        problem, seen = "a premise does not have one hypothesis of each label", list(labels)
    else:
        return
    raise UserError(
        problem,
        file=file,
        path=rows.place(first),
        seen=seen,
        allowed="three rows in a row for each premise: one entailment, one neutral, one contradiction",
        remedy="fetch the file again: rows may have been lost or put into another order",
    )


def _check_parallel(files: Sequence[Path], contents: Sequence[Sequence[Triple]]) -> None:
    """Refuse languages with different numbers of rows, or whose named rows are others."""
    expected = contents[0]
    for file, triples in zip(files, contents, strict=True):
        if len(triples) != len(expected):
            raise UserError(
                "the languages differ in their number of rows",
                file=file,
                seen=3 * len(triples),
                allowed=f"{3 * len(expected)}, as in {files[0]}: languages join by the order of the rows",
                remedy="fetch the files again: one may have been cut off",
            )
        for number, (triple, other) in enumerate(zip(triples, expected, strict=True)):
            if triple.identity != other.identity and triple.identity and other.identity:
                raise UserError(
                    "the languages hold different rows at the same place",
                    file=file,
                    path=f"record {3 * number} -> item",
                    seen=list(triple.identity),
                    allowed=f"{list(other.identity)}, as in {files[0]}",
                    remedy="bring the rows of all languages into the same order",
                )
