"""Files of question-passage pairs: read, checked, and brought to four columns of text."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridbatch.datasets.arrow_cache import text_column
from hybridbatch.datasets.memory_mapped import PAIR_COLUMNS
from hybridbatch.foundation.errors import UserError, did_you_mean, one_of

if TYPE_CHECKING:
    import pyarrow as pa

FREE_TEXT = ("query", "passage")
LARGEST_FIELD = 1 << 30  # characters in a field of a csv file; the default of Python, 128 kB, is short for a passage


def read_pairs(file: Path, names: Sequence[str], *, skip_empty: bool) -> pa.Table:
    """Return the pairs in ``file`` as text columns ``item``, ``language``, ``query``, ``passage``, without nulls.

    Args:
        file: A parquet, jsonl or csv file in UTF-8.
        names: What the four columns are called in it.
        skip_empty: Leave out rows in which the query or the passage has no text, instead of refusing the file.

    Raises:
        UserError: If the file cannot be read, a column is missing or of the wrong type, a value is null or has no text,
            or an item stands twice in one language. It names the record, counted from 0 in parquet, or the line.
    """
    if file.suffix not in READERS:
        raise UserError("unknown kind of file", file=file, seen=file.suffix or file.name, allowed=one_of(READERS))
    try:
        table, place = READERS[file.suffix](file, names)
    except OSError as error:
        raise UserError("cannot read the file", file=file, seen=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise UserError("not a text in UTF-8", file=file, seen=error.reason, allowed="UTF-8") from error
    if not table.num_rows:
        raise UserError("the file has no rows", file=file, allowed="at least one pair")
    return _check(file, table, names, place, skip_empty=skip_empty)


Place = Callable[[int], str]  # from the number of a row to where it stands in the file


def _read_parquet(file: Path, names: Sequence[str]) -> tuple[pa.Table, Place]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            _check_names(file, names, schema.names)
            for name, column in zip(names, PAIR_COLUMNS, strict=True):
                _check_type(file, name, schema.field(name).type, number_allowed=column == "item")
            table = parquet.read(columns=list(dict.fromkeys(names)))
            return _as_texts(pa, [table.column(name) for name in names]), "record {}".format
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise UserError(
            "not a readable parquet file",
            file=file,
            seen=str(error).splitlines()[0],
            allowed="a whole parquet file",
            remedy="write or fetch the file again: it may have been cut off",
        ) from error


def _as_texts(pa: Any, columns: Sequence[Any]) -> pa.Table:
    return pa.table({name: column.cast(pa.string()) for name, column in zip(PAIR_COLUMNS, columns, strict=True)})


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


def _read_jsonl(file: Path, names: Sequence[str]) -> tuple[pa.Table, Place]:
    rows: list[tuple[Any, ...]] = []
    lines: list[int] = []
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
            rows.append(_values(file, f"line {number}", record, names))
            lines.append(number)
    return _to_table(file, rows), lambda row: f"line {lines[row]}"


def _values(file: Path, where: str, record: object, names: Sequence[str]) -> tuple[Any, ...]:
    if not isinstance(record, dict):
        raise UserError("not a JSON object", file=file, path=where, seen=record, allowed="one JSON object a line")
    _check_names(file, names, record, where)
    values = [record[name] for name in names]
    if isinstance(values[0], int) and not isinstance(values[0], bool):
        values[0] = str(values[0])
    for name, value in zip(names, values, strict=True):
        if value is not None and not isinstance(value, str):
            raise UserError("wrong type of value", file=file, path=f"{where} -> {name}", seen=value, allowed="text")
    return tuple(values)


def _read_csv(file: Path, names: Sequence[str]) -> tuple[pa.Table, Place]:
    rows: list[tuple[Any, ...]] = []
    lines: list[int] = []
    csv.field_size_limit(max(csv.field_size_limit(), LARGEST_FIELD))
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            header = next(reader, [])
            _check_names(file, names, header, "line 1")
            positions = [header.index(name) for name in names]
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
                rows.append(tuple(record[position] for position in positions))
                lines.append(first)
        except csv.Error as error:
            raise UserError("not valid CSV", file=file, path=f"line {reader.line_num}", seen=str(error)) from error
    return _to_table(file, rows), lambda row: f"line {lines[row]}"


def _to_table(file: Path, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else [()] * len(PAIR_COLUMNS)
    return pa.table({name: text_column(column, file) for name, column in zip(PAIR_COLUMNS, columns, strict=True)})


def _check_names(file: Path, names: Sequence[str], present: Sequence[str] | dict[str, Any], where: str = "") -> None:
    for name in names:
        if name not in present:
            hint = did_you_mean(name, present)
            raise UserError(
                "missing column",
                file=file,
                path=where or None,
                seen=", ".join(present),
                allowed=f"a column '{name}'",
                remedy=f"{hint + ' ' if hint else ''}`columns` of this data set says what the columns are called",
            )


def _check(file: Path, table: pa.Table, names: Sequence[str], place: Place, *, skip_empty: bool) -> pa.Table:
    """Return ``table`` without skipped rows.

    Raises:
        UserError: If a value is null or has no text, or an item stands twice in a language.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = pa.array(range(table.num_rows))
    for name, column in zip(names, PAIR_COLUMNS, strict=True):
        blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(table.column(column), "")), "").combine_chunks()
        if not pc.any(blank).as_py():
            continue
        if not (skip_empty and column in FREE_TEXT):
            empty = pc.indices_nonzero(blank)
            raise UserError(
                "a value is null or has no text"
                if len(empty) == 1
                else f"{len(empty)} values are null or have no text",
                file=file,
                path=f"{place(rows[empty[0].as_py()].as_py())} -> {name}",
                seen=table.column(column)[empty[0].as_py()].as_py(),
                allowed="text in every row",
                remedy="`empty: skip` leaves such rows out" if column in FREE_TEXT else None,
            )
        table, rows = table.filter(pc.invert(blank)), rows.filter(pc.invert(blank))
    _check_single(file, table, lambda row: place(rows[row].as_py()))
    return table


def _check_single(file: Path, table: pa.Table, place: Place) -> None:
    seen: dict[tuple[str, str], int] = {}
    pairs = zip(table.column("item").to_pylist(), table.column("language").to_pylist(), strict=True)
    for row, pair in enumerate(pairs):
        if seen.setdefault(pair, row) != row:
            raise UserError(
                "an item stands twice in the same language",
                file=file,
                path=place(row),
                seen={"item": pair[0], "language": pair[1]},
                allowed=f"one row per item and language; the other is {place(seen[pair])}",
            )


READERS: dict[str, Callable[[Path, Sequence[str]], tuple[pa.Table, Place]]] = {
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
}
