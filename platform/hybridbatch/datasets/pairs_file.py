"""parallel-pairs: training pairs or a retrieval task from one parquet, jsonl or csv file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from hybridbatch.datasets.arrow_cache import cached_table, column_of
from hybridbatch.datasets.memory_mapped import PAIR_COLUMNS, TaskColumns, mapped_pairs, store_task
from hybridbatch.datasets.pairs_split import dev_rows
from hybridbatch.datasets.parallel_pairs import NEGATIVES, ParallelPairs, check_languages
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.datasets.text_table import Wanted, check_single, read_text_table
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import DATASETS
from hybridbatch.spec.settings import Settings
from hybridbatch.spec.sources import DataLocation, SourceSettings

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from datasets import Dataset

FORMAT = 2  # of the cached table: raise it when the same file and settings give other rows
ColumnName = Annotated[str, Field(min_length=1)]


class PairColumns(Settings):
    """What the columns of the file are called.

    Attributes:
        item: Name of the column of items: the same question and passage in other languages have the same.
        language: Name of the column of languages.
        query: Name of the column of questions.
        passage: Name of the column of passages.
        negatives: Name of a column with a list of texts in each row, in the row's language, that do not answer its
            question (parquet and jsonl alone); null where there is none.
    """

    item: ColumnName = "item"
    language: ColumnName = "language"
    query: ColumnName = "query"
    passage: ColumnName = "passage"
    negatives: ColumnName | None = None

    def wanted(self) -> Wanted:
        """Return the columns."""
        lists = {} if self.negatives is None else {NEGATIVES: self.negatives}
        return Wanted(names=self.model_dump(exclude={"negatives"}), free_text=("query", "passage"), lists=lists)


@DATASETS.register("parallel-pairs")
class PairsFile(SourceSettings):
    """Settings of a file of question-passage pairs, one row for each item and language; other columns are ignored.

    As a task, the candidates of a language are the distinct passages of its rows (several items may share one), in
    order of their first row, and the passage of an item in each of its languages is relevant.

    Attributes:
        path: The file, absolute or below the data folder; its ending says the format: .parquet, .jsonl or .csv.
        columns: Names of the columns, where they differ from item, language, query, passage; and that of negatives.
        split: ``train`` and ``dev`` are disjoint parts of the same file, ``all`` is the whole of it. Items that share a
            text fall into the same part; the choice does not depend on ``languages``.
        dev_share: This share of the items is in ``dev``, as near as items that share a text allow.
        empty: ``skip`` leaves out rows in which the query or the passage has no text; ``refuse`` takes them as a
            mistake.
    """

    dataset: Literal["parallel-pairs"] = "parallel-pairs"
    path: Annotated[str, Field(min_length=1)]
    columns: PairColumns = PairColumns()
    split: Literal["train", "dev", "all"] = "all"
    dev_share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    empty: Literal["refuse", "skip"] = "refuse"

    description: ClassVar[str] = (
        "Question-passage pairs from a parquet, jsonl or csv file (item, language, query, passage)."
    )
    source: ClassVar[str] = "the file named by `path`"
    licence: ClassVar[str] = "that of the file"
    citation: ClassVar[str] = "that of the file"

    def pairs(self, location: DataLocation) -> ParallelPairs:
        """Load the split as training pairs.

        Raises:
            UserError: If the file is missing, unreadable or has a row that is no pair; it names the file and record.
        """
        file = location.resolve(self.path)
        rows = self._rows(file, location)
        present = sorted(column_of(rows, "language").unique().to_pylist())
        return mapped_pairs(self._name(file), self.languages or tuple(present), rows)

    def task(self, location: DataLocation) -> RetrievalTask:
        """Load the split as a retrieval task.

        Raises:
            UserError: As :meth:`pairs`.
        """
        pairs = self.pairs(location)
        items, row_languages, queries, passages = (column_of(pairs.rows, column).to_pylist() for column in PAIR_COLUMNS)
        columns = TaskColumns(items=items, languages=row_languages, questions=queries)
        rows_of: dict[str, list[int]] = {language: [] for language in pairs.languages}
        for row, language in enumerate(row_languages):
            rows_of[language].append(row)
        relevant: dict[str, set[int]] = {}
        for language in pairs.languages:
            candidate_of: dict[str, int] = {}
            for row in rows_of[language]:
                candidate = candidate_of.setdefault(passages[row], len(columns.candidates))
                if candidate == len(columns.candidates):
                    columns.candidates.append(passages[row])
                    columns.candidate_languages.append(language)
                relevant.setdefault(items[row], set()).add(candidate)
        columns.relevant.extend(tuple(relevant[item]) for item in items)
        return store_task(pairs.name, pairs.languages, location.cache, columns)

    def _name(self, file: Path) -> str:
        return file.stem if self.split == "all" else f"{file.stem}-{self.split}"

    def _rows(self, file: Path, location: DataLocation) -> Dataset:
        """Return the chosen rows, memory-mapped; the file is read and checked when it or the settings are new."""
        if not file.is_file():
            raise UserError(
                "no such file",
                file=file,
                seen=self.path,
                remedy="set HYBRIDBATCH_DATA to the folder that holds the data, or give an absolute `path`",
            )
        try:
            content = fingerprint.of_files([file])
        except OSError as error:
            raise UserError("cannot read the file", file=file, seen=error.strerror) from error
        settings = self.model_dump(mode="json", exclude={"path"})
        key = f"pairs-{fingerprint.of_json({'format': FORMAT, 'content': content, 'ending': file.suffix, **settings})}"
        return cached_table(location.cache, key, lambda: [self._chosen(file)])

    def _chosen(self, file: Path) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        pairs = read_text_table(file, self.columns.wanted(), skip_empty=self.empty == "skip")
        check_single(file, pairs)
        table = pairs.table
        present = sorted(table.column("language").unique().to_pylist())
        languages = check_languages(str(file), self.languages, present)
        chosen = pc.is_in(table.column("language"), value_set=pa.array(languages, type=pa.string()))
        if self.split != "all":
            in_dev = dev_rows(table, self.dev_share)
            chosen = pc.and_(chosen, pa.array(in_dev if self.split == "dev" else ~in_dev))
        table = table.filter(chosen)
        if not table.num_rows:
            raise UserError(
                "no rows are left",
                file=file,
                path="split",
                seen={"split": self.split, "dev_share": self.dev_share, "languages": list(languages)},
                allowed="a split with at least one row",
                remedy="choose more languages; a train and a dev part need two items at least that share no text",
            )
        return table
