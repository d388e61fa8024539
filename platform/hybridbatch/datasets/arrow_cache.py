"""Arrow files that are written once and memory-mapped from then on, shared by all processes of a node."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # closes an Arrow IPC stream; a reader does not insist on it


def cached_table(cache: Path, key: str, build: Callable[[], Iterable[pa.RecordBatch | pa.Table]]) -> Dataset:
    """Return the memory-mapped table called ``key``, building it when it is not there or not whole.

    Several processes may ask for the same key at once: each writes a draft of its own and renames it, and all drafts
    hold the same content, because ``key`` names the content.

    Args:
        cache: The cache folder, safe to delete.
        key: Name of the content, usable as a file name.
        build: Yields the table in parts of one schema, at least one.

    Raises:
        StoreError: If the disk is full or read-only.
    """
    file = _file_of(cache, key)
    if not _is_whole(file):
        _write_whole(file, build())
    from datasets import Dataset

    return Dataset.from_file(str(file))


def remove_table(cache: Path, key: str) -> None:
    """Remove the table called ``key``, which turned out to be of no use."""
    _file_of(cache, key).unlink(missing_ok=True)


def stored_fingerprint(cache: Path, key: str, columns: Sequence[str], *more: object) -> str:
    """Return :func:`table_fingerprint` of columns of the table called ``key``, which was stored before.

    It is computed a batch at a time and noted beside the table, which is not read again for it.
    """
    import pyarrow as pa

    file = _file_of(cache, key)
    note = file.with_name(f"{key}.{fingerprint.of_json([columns, *more])}.txt")
    if note.is_file():
        return note.read_text(encoding="ascii")
    with pa.OSFile(str(file)) as source:
        content = _fingerprint_of_batches(columns, pa.ipc.open_stream(source), *more)
    atomic.write_text(note, content)
    return content


def column_of(rows: Dataset, name: str) -> pa.ChunkedArray:
    """Return one column of a memory-mapped data set without copying it."""
    return rows.data.column(name)


def values_of(rows: Dataset, name: str) -> Iterator[str]:
    """Yield the values of one column of texts; a few thousand of them are in memory at a time."""
    for batch in rows.select_columns([name]).iter(batch_size=4096):
        yield from batch[name]


def text_column(texts: Sequence[str], file: str | Path) -> pa.Array:
    """Return ``texts`` as an Arrow column.

    Raises:
        UserError: If a text is not valid Unicode (half of a surrogate pair, from a broken JSON escape).
    """
    import pyarrow as pa

    try:
        return pa.array(texts, type=pa.string())
    except UnicodeEncodeError as error:
        raise UserError(
            "a text is not valid Unicode", file=file, seen=error.object, allowed="no lone surrogates such as \\ud83d"
        ) from error


def table_fingerprint(table: pa.Table, *more: object) -> str:
    """Return the fingerprint of the content of a table of texts, whatever its chunks.

    Args:
        table: A table without nulls whose columns are texts or lists of texts.
        more: Further JSON-like values that belong to the content.
    """
    return _fingerprint_of_batches(table.column_names, table.to_batches(), *more)


def _fingerprint_of_batches(columns: Sequence[str], batches: Iterable[pa.RecordBatch], *more: object) -> str:
    import pyarrow.types as pt

    digests = [(hashlib.sha256(), hashlib.sha256()) for _ in columns]
    list_lengths: dict[str, hashlib._Hash] = defaultdict(hashlib.sha256)
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        for name, (lengths, texts) in zip(columns, digests, strict=True):
            column = batch.column(name)
            if pt.is_list(column.type):
                list_lengths[name].update(np.diff(column.offsets.to_numpy()).astype("<i8").tobytes())
                column = column.flatten()
            length_bytes, text_bytes = _buffers(column)
            lengths.update(length_bytes)
            texts.update(text_bytes)
    parts = [json.dumps([list(columns), rows, *more], ensure_ascii=False).encode()]
    parts += [digest.digest() for pair in digests for digest in pair]
    parts += [list_lengths[name].digest() for name in columns if name in list_lengths]
    return fingerprint.of_bytes(parts)


def _buffers(chunk: pa.Array) -> tuple[bytes, memoryview]:
    """Return the lengths of the texts of a chunk as int64, and their UTF-8 one after the other."""
    import pyarrow as pa

    texts = chunk.cast(pa.large_string())
    _, offset_buffer, text_buffer = texts.buffers()
    if not len(texts) or offset_buffer is None:
        return b"", memoryview(b"")
    offsets = np.frombuffer(offset_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    text = memoryview(text_buffer) if text_buffer is not None else memoryview(b"")
    return np.diff(offsets).astype("<i8").tobytes(), text[int(offsets[0]) : int(offsets[-1])]


def _file_of(cache: Path, key: str) -> Path:
    return cache / "tables" / f"{key}.arrow"


def _is_whole(file: Path) -> bool:
    """Return whether ``file`` is there and a complete Arrow stream with valid offsets and UTF-8."""
    import pyarrow as pa

    try:
        with file.open("rb") as stream:
            stream.seek(-len(END_OF_STREAM), os.SEEK_END)
            if stream.read() != END_OF_STREAM:
                return False
        with pa.OSFile(str(file)) as source:  # not mapped: a batch at a time is all that is in memory
            for batch in pa.ipc.open_stream(source):
                batch.validate(full=True)
    except (OSError, pa.ArrowException):
        return False
    return True


def _write_whole(file: Path, parts: Iterable[pa.RecordBatch | pa.Table]) -> None:
    import pyarrow as pa

    with atomic.file_written_whole(file) as sink:
        writer = None
        for part in parts:
            writer = writer or pa.ipc.new_stream(sink, part.schema)
            writer.write(part)
        if writer is None:
            raise ValueError(f"nothing to write into {file.name}: a table has at least one part")
        writer.close()
