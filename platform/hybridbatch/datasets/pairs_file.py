"""parallel-pairs: training pairs or a retrieval task from one parquet, jsonl or csv file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from hybridbatch.datasets.arrow_cache import cached_table, column_of, remove_table
from hybridbatch.datasets.item_index import RepeatedItemError
from hybridbatch.datasets.memory_mapped import PAIR_COLUMNS, TaskColumns, mapped_pairs, store_task
from hybridbatch.datasets.pairs_split import dev_rows
from hybridbatch.datasets.parallel_pairs import NEGATIVES, ParallelPairs, check_languages
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.datasets.text_table import TextTable, Wanted, text_parts
from hybridbatch.datasets.unchanged_files import unchanged_fingerprint
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import DATASETS
from hybridbatch.spec.settings import Settings
from hybridbatch.spec.sources import DataLocation, SourceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

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
        key = self._key(file, location)
        rows = cached_table(location.cache, key, lambda: self._chosen(file))
        try:
            return mapped_pairs(self._name(file), self.languages, rows, location.cache, key)
        except RepeatedItemError as error:
            remove_table(location.cache, key)
            raise self._with_places(file, error) from error

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

    def _key(self, file: Path, location: DataLocation) -> str:
        """Return the name of the chosen rows, which changes with the content of the file and the settings."""
        if not file.is_file():
            raise UserError(
                "no such file",
                file=file,
                seen=self.path,
                remedy="set HYBRIDBATCH_DATA to the folder that holds the data, or give an absolute `path`",
            )
        content = unchanged_fingerprint(file, location.cache)
        settings = self.model_dump(mode="json", exclude={"path"})
        return f"pairs-{fingerprint.of_json({'format': FORMAT, 'content': content, 'ending': file.suffix, **settings})}"

    def _parts(self, file: Path, *, lists: bool = False) -> Iterator[TextTable]:
        """Return the rows of a file in parts, with the lists of negatives if asked for."""
        columns = self.columns if lists else self.columns.model_copy(update={"negatives": None})
        return text_parts(file, columns.wanted(), skip_empty=self.empty == "skip")

    def _chosen(self, file: Path) -> Iterator[pa.Table]:
        """Yield the chosen rows of a file, a part after the other."""
        import pyarrow as pa
        import pyarrow.compute as pc

        in_dev = None if self.split == "all" else dev_rows((part.table for part in self._parts(file)), self.dev_share)
        present: set[str] = set()
        seen = left = 0
        for part in self._parts(file, lists=True):
            languages = part.table.column("language")
            present.update(languages.unique().to_pylist())
            chosen = pc.is_in(languages, value_set=pa.array(self.languages or sorted(present), type=pa.string()))
            if in_dev is not None:
                of_part = in_dev[seen : seen + len(languages)]
                chosen = pc.and_(chosen, pa.array(of_part if self.split == "dev" else ~of_part))
            table = part.table.filter(chosen)
            seen, left = seen + len(languages), left + len(table)
            if len(table):
                yield table
        languages = check_languages(str(file), self.languages, sorted(present))
        if not left:
            raise UserError(
                "no rows are left",
                file=file,
                path="split",
                seen={"split": self.split, "dev_share": self.dev_share, "languages": list(languages)},
                allowed="a split with at least one row",
                remedy="choose more languages; a train and a dev part need two items at least that share no text",
            )

    def _with_places(self, file: Path, repeated: RepeatedItemError) -> UserError:
        """Return the error with the places in the file, which is read again for them."""
        import pyarrow.compute as pc

        places = []
        for part in self._parts(file):
            of_item = pc.equal(part.table.column("item"), repeated.item)
            of_language = pc.equal(part.table.column("language"), repeated.language)
            places += [part.place(row) for row in pc.indices_nonzero(pc.and_(of_item, of_language)).to_pylist()]
        allowed = f"one row per item and language; the other is {places[0]}"
        return UserError(repeated.problem, file=file, path=places[1], seen=repeated.seen, allowed=allowed)
