"""Files of rows (parquet, jsonl, csv): read, checked, and brought to columns of text, a part after the other."""

from __future__ import annotations

import bisect
import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridbatch.datasets.arrow_cache import text_column
from hybridbatch.datasets.text_lists import as_text_lists, check_list_type, check_texts, list_column
from hybridbatch.foundation.errors import UserError, did_you_mean, first_line, one_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PART_ROWS, PART_CHARACTERS = 16_384, 8 << 20  # most of a part; parquet files without lists are cut by rows alone
ROWS_OF_LISTS = 1024  # of a parquet file, read at once
READ_AT_ONCE = 1 << 20  # bytes of a column of a parquet file
LARGEST_FIELD = 1 << 30  # characters in a field of a csv file; the default of Python, 128 kB, is short for a passage

Row = tuple[int, tuple[str | None, ...], tuple[list[str], ...]]  # the line that it begins in, its texts, its lists


@dataclass(frozen=True)
class Wanted:
    """The columns that are wanted from a file; others are ignored.

    Attributes:
        names: What each column is called in the file, by the name that it gets here.
        numbers: Columns (by the name here) that may hold whole numbers; they become text.
        free_text: Columns (by the name here) that people wrote: rows without text in them may be left out.
        renamable: Whether the data set has a setting ``columns`` that says what they are called.
        lists: What columns with a list of texts in each row are called, by the name that each gets here; a row may have
            none. A csv file has no such columns.
    """

    names: Mapping[str, str]
    numbers: Collection[str] = ("item",)
    free_text: Collection[str] = ()
    renamable: bool = True
    lists: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_names(self) -> tuple[str, ...]:
        """What the columns are called in the file."""
        return (*self.names.values(), *self.lists.values())


@dataclass(frozen=True)
class TextTable:
    """The wanted columns of a file, or of a part of it.

    Attributes:
        table: Columns of text without nulls, and of lists of texts.
        place: Where a row of :attr:`table` stands in the file: a record, counted from 0 in parquet, or a line.
    """

    table: pa.Table
    place: Callable[[int], str]


def read_text_table(file: Path, wanted: Wanted, *, skip_empty: bool = False) -> TextTable:
    """Return the wanted columns of ``file``.

    Args:
        file: A parquet, jsonl or csv file in UTF-8.
        wanted: The columns.
        skip_empty: Leave out rows in which a column of free text has none, instead of refusing the file.

    Raises:
        UserError: If the file cannot be read or has no rows, a column is missing or of the wrong type, or a value is
            null or has no text. It names the record or the line.
    """
    import pyarrow as pa

    parts = list(text_parts(file, wanted, skip_empty=skip_empty))
    ends = list(accumulate(part.table.num_rows for part in parts))

    def place(row: int) -> str:
        part = bisect.bisect_right(ends, row)
        return parts[part].place(row - (ends[part - 1] if part else 0))

    return TextTable(pa.concat_tables([part.table for part in parts]), place)


def text_parts(file: Path, wanted: Wanted, *, skip_empty: bool = False) -> Iterator[TextTable]:
    """Yield the wanted columns of ``file`` a part after the other, so that only a part is in memory.

    A part may have no rows when all were left out. For the arguments see :func:`read_text_table`.

    Raises:
        UserError: As :func:`read_text_table`, at the part that it is about.
    """
    if file.suffix not in READERS:
        raise UserError("unknown kind of file", file=file, seen=file.suffix or file.name, allowed=one_of(READERS))
    rows = 0
    try:
        for part in READERS[file.suffix](file, wanted):
            rows += part.table.num_rows
            for column, name in wanted.lists.items():
                check_texts(file, name, part.table.column(column), part.place)
            yield _without_empty(file, part, wanted, skip_empty=skip_empty)
    except OSError as error:
        raise UserError("cannot read the file", file=file, seen=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise UserError("not a text in UTF-8", file=file, seen=error.reason, allowed="UTF-8") from error
    if not rows:
        raise UserError("the file has no rows", file=file, allowed="at least one row")


def parquet_columns(file: Path) -> tuple[str, ...]:
    """Return the names of the columns of a parquet file.

    Raises:
        UserError: If it is no whole parquet file.
    """
    import pyarrow.parquet as pq

    with _readable_parquet(file):
        return tuple(pq.read_schema(file).names)


def check_single(file: Path, rows: TextTable) -> None:
    """Refuse a file in which an item stands twice in a language.

    Raises:
        UserError: If one does; it names both places.
    """
    seen: dict[tuple[str, str], int] = {}
    pairs = zip(rows.table.column("item").to_pylist(), rows.table.column("language").to_pylist(), strict=True)
    for row, pair in enumerate(pairs):
        if seen.setdefault(pair, row) != row:
            raise UserError(
                "an item stands twice in the same language",
                file=file,
                path=rows.place(row),
                seen={"item": pair[0], "language": pair[1]},
                allowed=f"one row per item and language; the other is {rows.place(seen[pair])}",
            )


@contextmanager
def _readable_parquet(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise UserError(
            "not a readable parquet file",
            file=file,
            seen=first_line(error),
            allowed="a whole parquet file",
            remedy="write or fetch the file again: it may have been cut off",
        ) from error


def _read_parquet(file: Path, wanted: Wanted) -> Iterator[TextTable]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Read through a buffer, since otherwise all of a row group is in memory, which may be all of the file.
    with _readable_parquet(file), pq.ParquetFile(file, pre_buffer=False, buffer_size=READ_AT_ONCE) as parquet:
        schema = parquet.schema_arrow
        _check_names(file, wanted, schema.names)
        for column, name in wanted.names.items():
            _check_type(file, name, schema.field(name).type, number_allowed=column in wanted.numbers)
        for name in wanted.lists.values():
            check_list_type(file, name, schema.field(name).type)
        first = 0
        for batch in _batches(parquet, wanted):
            batch.validate(full=True)  # reading alone lets through what is not UTF-8
            texts = {column: batch.column(name).cast(pa.string()) for column, name in wanted.names.items()}
            lists = {column: as_text_lists(batch.column(name)) for column, name in wanted.lists.items()}
            yield TextTable(pa.table({**texts, **lists}), lambda row, first=first: f"record {first + row}")  # type: ignore[misc]
            first += batch.num_rows


def _batches(parquet: pq.ParquetFile, wanted: Wanted) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a parquet file in parts; where lists may make rows long, small ones are put together."""
    import pyarrow as pa

    columns = list(dict.fromkeys(wanted.all_names))
    if not wanted.lists:
        yield from parquet.iter_batches(PART_ROWS, columns=columns)
        return
    held: list[pa.RecordBatch] = []
    for batch in parquet.iter_batches(min(ROWS_OF_LISTS, PART_ROWS), columns=columns):
        held.append(batch)
        if sum(one.num_rows for one in held) >= PART_ROWS or sum(one.nbytes for one in held) >= PART_CHARACTERS:
            yield pa.concat_batches(held)
            held = []
    if held:
        yield pa.concat_batches(held)


def _check_type(file: Path, name: str, kind: pa.DataType, *, number_allowed: bool) -> None:
    import pyarrow.types as pt

    value = kind.value_type if pt.is_dictionary(kind) else kind
    text = pt.is_string(value) or pt.is_large_string(value) or pt.is_string_view(value)
    if not (text or (number_allowed and pt.is_integer(value))):
        raise UserError(
            "wrong type of column",
            file=file,
            path=name,
            seen=str(kind),
            allowed="text or whole numbers" if number_allowed else "text",
        )


def _jsonl_rows(file: Path, wanted: Wanted) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig") as text:
        for number, line in enumerate(text, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"not valid JSON: {error.msg} in column {error.colno}",
                    file=file,
                    path=f"line {number}",
                    seen=line.strip(),
                    allowed="one JSON object a line",
                ) from error
            yield number, *_values(file, f"line {number}", record, wanted)


def _values(
    file: Path, where: str, record: object, wanted: Wanted
) -> tuple[tuple[str | None, ...], tuple[list[str], ...]]:
    if not isinstance(record, dict):
        raise UserError("not a JSON object", file=file, path=where, seen=record, allowed="one JSON object a line")
    _check_names(file, wanted, record, where)
    values = []
    for column, name in wanted.names.items():
        value = record[name]
        if column in wanted.numbers and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            raise UserError("wrong type of value", file=file, path=f"{where} -> {name}", seen=value, allowed="text")
        values.append(value)
    return tuple(values), tuple(_list(file, f"{where} -> {name}", record[name]) for name in wanted.lists.values())


def _list(file: Path, where: str, value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UserError("wrong type of value", file=file, path=where, seen=value, allowed="a list of texts")
    return value


def _csv_rows(file: Path, wanted: Wanted) -> Iterator[Row]:
    if wanted.lists:
        raise UserError(
            "a csv file has no lists",
            file=file,
            path=", ".join(f"columns.{column}" for column in wanted.lists),
            seen=", ".join(wanted.lists.values()),
            allowed="a parquet or jsonl file for a column with a list of texts in each row",
        )
    csv.field_size_limit(max(csv.field_size_limit(), LARGEST_FIELD))
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            header = next(reader, [])
            _check_names(file, wanted, header, "line 1")
            positions = [header.index(name) for name in wanted.names.values()]
            last = 1
            for record in reader:
                first, last = last + 1, reader.line_num
                if not record:
                    continue
                if len(record) != len(header):
                    raise UserError(
                        "wrong number of fields",
                        file=file,
                        path=f"line {first}",
                        seen=f"{len(record)} fields: {record}",
                        allowed=f"{len(header)}, as in the header",
                    )
                yield first, tuple(record[position] for position in positions), ()
        except csv.Error as error:
            raise UserError("not valid CSV", file=file, path=f"line {reader.line_num}", seen=str(error)) from error


def _in_parts(read: Callable[[Path, Wanted], Iterator[Row]]) -> Callable[[Path, Wanted], Iterator[TextTable]]:
    def parts(file: Path, wanted: Wanted) -> Iterator[TextTable]:
        rows: list[Row] = []
        characters = 0
        for row in read(file, wanted):
            rows.append(row)
            characters += sum(len(value) for value in row[1] if value is not None)
            characters += sum(len(text) for texts in row[2] for text in texts)
            if len(rows) >= PART_ROWS or characters >= PART_CHARACTERS:
                yield _to_table(file, rows, wanted)
                rows, characters = [], 0
        if rows:
            yield _to_table(file, rows, wanted)

    return parts


def _to_table(file: Path, rows: Sequence[Row], wanted: Wanted) -> TextTable:
    import pyarrow as pa

    lines = [line for line, _, _ in rows]  # alone, so that the texts need not stay
    texts = zip(*(values for _, values, _ in rows), strict=True)
    lists = zip(*(values for _, _, values in rows), strict=True)
    table = pa.table(
        {
            **{name: text_column(column, file) for name, column in zip(wanted.names, texts, strict=True)},
            **{name: list_column(column, file) for name, column in zip(wanted.lists, lists, strict=True)},
        }
    )
    return TextTable(table, lambda row: f"line {lines[row]}")


def _check_names(file: Path, wanted: Wanted, present: Sequence[str] | dict[str, Any], where: str = "") -> None:
    for name in wanted.all_names:
        if name not in present:
            hint = did_you_mean(name, present) or ""
            setting = "`columns` of this data set says what the columns are called" if wanted.renamable else ""
            raise UserError(
                "missing column",
                file=file,
                path=where or None,
                seen=", ".join(present),
                allowed=f"a column '{name}'",
                remedy=" ".join(part for part in (hint, setting) if part) or None,
            )


def _without_empty(file: Path, read: TextTable, wanted: Wanted, *, skip_empty: bool) -> TextTable:
    """Return ``read`` without skipped rows.

    Raises:
        UserError: If a value is null or has no text and its row is not skipped.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table, rows = read.table, pa.array(range(read.table.num_rows))
    for column, name in wanted.names.items():
        blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(table.column(column), "")), "").combine_chunks()
        if not pc.any(blank).as_py():
            continue
        if not (skip_empty and column in wanted.free_text):
            empty = pc.indices_nonzero(blank)
            raise UserError(
                "a value is null or has no text"
                if len(empty) == 1
                else f"at least {len(empty)} values are null or have no text",
                file=file,
                path=f"{read.place(rows[empty[0].as_py()].as_py())} -> {name}",
                seen=table.column(column)[empty[0].as_py()].as_py(),
                allowed="text in every row",
                remedy="`empty: skip` leaves such rows out" if column in wanted.free_text else None,
            )
        table, rows = table.filter(pc.invert(blank)), rows.filter(pc.invert(blank))
    return TextTable(table, lambda row: read.place(rows[row].as_py()))


READERS: dict[str, Callable[[Path, Wanted], Iterator[TextTable]]] = {
    ".parquet": _read_parquet,
    ".jsonl": _in_parts(_jsonl_rows),
    ".csv": _in_parts(_csv_rows),
}
