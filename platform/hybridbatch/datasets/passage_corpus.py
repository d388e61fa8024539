"""A corpus of passages in files of JSON lines, streamed into the Arrow cache, so that only a batch is in memory.

While the sources do not change, loading the corpus again reads the cache and not them. Beside the batch, building one
takes 16 bytes a passage, for hashes of the ids that show whether one stands twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.arrow_cache import cached_table, column_of, stored_fingerprint
from hybridbatch.datasets.memory_mapped import CandidatePart
from hybridbatch.datasets.text_lines import identity_of, json_objects, refuse_surrogates, text_of
from hybridbatch.datasets.unchanged_files import unchanged_fingerprint
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

FORMAT = 1  # of the cached table: raise it when the same files and settings give other rows
BATCH_ROWS, BATCH_CHARACTERS = 16_384, 8 << 20
Place = tuple[Path, int]  # a file and a line in it


@dataclass(frozen=True)
class PassageCorpus:
    """The passages of one language.

    Attributes:
        rows: Memory-mapped table with the columns ``language``, ``text``, ``id``, in the order of the files.
        fingerprint: Fingerprint of language and text of the rows.
    """

    rows: Dataset
    fingerprint: str

    def __len__(self) -> int:
        return len(self.rows)

    def candidates(self) -> CandidatePart:
        """Return the passages as candidates of a retrieval task, without their ids."""
        return CandidatePart(self.rows.select_columns(["language", "text"]), self.fingerprint)

    def rows_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each of ``ids``, all different, -1 where there is no such passage (W ids, [W])."""
        import pyarrow as pa
        import pyarrow.compute as pc

        row_W = np.full(len(ids), -1, dtype=np.int64)
        if not len(ids):
            return row_W
        start = 0
        for chunk in pc.index_in(column_of(self.rows, "id"), value_set=pa.array(ids, pa.string())).chunks:
            found = np.flatnonzero(chunk.is_valid().to_numpy(zero_copy_only=False))
            row_W[chunk.drop_null().to_numpy()] = start + found
            start += len(chunk)
        return row_W


def stored_corpus(cache: Path, language: str, files: Sequence[Path], key: str) -> PassageCorpus:
    """Return the corpus in ``files``, whose lines are objects with an id, a text and mostly a title.

    A passage is its title and its text with a space between them, stripped, as BEIR joins them. One without any text is
    kept, since it takes a place in the ranking. A missing title, or null, is an empty one; other keys are passed over.

    Args:
        cache: The cache folder.
        language: Language of the passages.
        files: The files, in order; plain or compressed with gzip.
        key: Key of the id.

    Raises:
        UserError: If a file is missing, unreadable or empty, a record is no passage, or an id stands twice; it names
            the file and the line.
    """
    content = [unchanged_fingerprint(file, cache) for file in files]
    name = fingerprint.of_json({"format": FORMAT, "content": content, "language": language, "key": key})
    rows = cached_table(cache, f"corpus-{name}", lambda: _batches(language, files, key))
    return PassageCorpus(rows, stored_fingerprint(cache, f"corpus-{name}", ("language", "text")))


def refuse_repeated_ids(
    hashes: Sequence[NDArray[np.int64]], records: Callable[[], Iterable[tuple[Place, str]]]
) -> None:
    """Raise if an id stands twice.

    Args:
        hashes: :func:`hash` of every id, in parts.
        records: Reads all ids again, with their places; called only when two hashes are equal.

    Raises:
        UserError: If so; it names both places.
    """
    sorted_N = np.concatenate(hashes)
    sorted_N.sort()
    suspects = set(sorted_N[1:][sorted_N[1:] == sorted_N[:-1]].tolist())
    places: dict[str, Place] = {}
    for place, identity in records() if suspects else ():
        if hash(identity) in suspects and identity in places:
            first, line = places[identity]
            raise UserError(
                "the same id twice",
                file=place[0],
                path=f"line {place[1]}",
                seen=identity,
                allowed=f"each id once; it stands in {first.name}, line {line}, already",
            )
        if hash(identity) in suspects:
            places[identity] = place


def _batches(language: str, files: Sequence[Path], key: str) -> Iterator[pa.RecordBatch]:
    hashes: list[NDArray[np.int64]] = []
    for file in files:
        for batch in _batches_of_file(language, file, key):
            hashes.append(np.fromiter(map(hash, batch.ids), np.int64, len(batch.ids)))
            yield batch.arrow()
    refuse_repeated_ids(hashes, lambda: _places(files, key))


def _places(files: Sequence[Path], key: str) -> Iterator[tuple[Place, str]]:
    for file in files:
        for number, record in json_objects(file):
            yield (file, number), identity_of(record, key, file, number)


class _Batch:
    """Passages of one file on their way into the cache."""

    def __init__(self, language: str, file: Path) -> None:
        self.language, self.file = language, file
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.lines: list[int] = []
        self.characters = 0

    def add(self, identity: str, text: str, line: int) -> None:
        self.ids.append(identity)
        self.texts.append(text)
        self.lines.append(line)
        self.characters += len(text)

    @property
    def is_full(self) -> bool:
        return len(self.ids) >= BATCH_ROWS or self.characters >= BATCH_CHARACTERS

    def arrow(self) -> pa.RecordBatch:
        """Return the batch as Arrow.

        Raises:
            UserError: If a text or an id is not valid Unicode.
        """
        import pyarrow as pa

        try:
            columns = {"language": [self.language] * len(self.ids), "text": self.texts, "id": self.ids}
            return pa.record_batch({name: pa.array(column, pa.string()) for name, column in columns.items()})
        except UnicodeEncodeError:
            for identity, text, line in zip(self.ids, self.texts, self.lines, strict=True):
                refuse_surrogates(identity, "id", self.file, line)
                refuse_surrogates(text, "title or text", self.file, line)
            raise


def _batches_of_file(language: str, file: Path, key: str) -> Iterator[_Batch]:
    batch = _Batch(language, file)
    for number, record in json_objects(file):
        identity = identity_of(record, key, file, number)
        title = text_of(record, "title", file, number) if record.get("title") is not None else ""
        batch.add(identity, f"{title} {text_of(record, 'text', file, number)}".strip(), number)
        if batch.is_full:
            yield batch
            batch = _Batch(language, file)
    if batch.ids:
        yield batch
