"""How much memory loading a file of training pairs takes, streamed into the cache and held as a table, in one run.

    python experiments/benchmarks/pairs_memory.py [--rows 1400000 7000000] [--negatives 0] [--measure table] [--json]

A parquet file of ``parallel-pairs`` is made in a temporary folder: seven languages one after the other, the same items
in each, short texts of random words, row groups of a million rows. ``--negatives`` gives each row a list of so many
passages that do not answer its question. Each row of the table is a process of its own:

- first load: the file is read, checked, written into the cache, and its rows are grouped into items;
- second load: the cache is read;
- with batches: the same, then a hybrid plan, and the rows and listed negatives of the texts of 1,000 batches of 64;
- table: the whole file as a pyarrow table, and a dictionary from item to its row in each language.

Anonymous is the most memory that belonged to no file (``RssAnon``, looked at every 10 ms), resident the most that was
resident (``VmHWM``), both less what the process had after its imports. Pages of mapped files are resident, too, though
the system takes them back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from measuring import LoadCost, measured_apart

LANGUAGES = ("en", "ar", "zh", "de", "es", "ru", "hi")
ROWS = ("first load", "second load", "with batches", "table")
ROW_GROUP, AT_ONCE = 1_000_000, 250_000


def make_file(file: Path, rows: int, negatives: int) -> None:
    """Write the file: the items of one language after those of another."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    letters = random.integers(ord("a"), ord("z") + 1, (20_000, 8), dtype=np.uint8)
    words = pa.array([bytes(row[: 2 + number % 7]).decode() for number, row in enumerate(letters)])
    items = rows // len(LANGUAGES)

    def texts(count: int, length: int) -> pa.Array:
        columns = [words.take(pa.array(random.integers(0, len(words), count))) for _ in range(length)]
        return pc.binary_join_element_wise(*columns, " ")

    schema = pa.schema([(name, pa.string()) for name in ("item", "language", "query", "passage")])
    if negatives:
        schema = schema.append(pa.field("negatives", pa.list_(pa.string())))
    with pq.ParquetWriter(file, schema) as writer:
        group: list[pa.Table] = []
        for language in LANGUAGES:
            for start in range(0, items, AT_ONCE):
                count = min(AT_ONCE, items - start)
                names = pc.binary_join_element_wise(
                    "item", pa.array(np.arange(start, start + count)).cast("string"), "-"
                )
                columns = [names, pa.repeat(language, count), texts(count, 6), texts(count, 12)]
                if negatives:
                    ends = pa.array(np.arange(count + 1, dtype=np.int32) * negatives)
                    columns.append(pa.ListArray.from_arrays(ends, texts(count * negatives, 12)))
                group.append(pa.table(columns, schema=schema))
                if sum(map(len, group)) >= ROW_GROUP:
                    writer.write_table(pa.concat_tables(group))
                    group = []
        if group:
            writer.write_table(pa.concat_tables(group))


def measure(row: str, file: Path, cache: Path, negatives: int) -> dict[str, float]:
    """Return seconds and memory of one row; runs in a process of its own."""
    import datasets  # noqa: F401 - what a load imports is not what it takes
    import pyarrow.parquet as pq

    from hybridbatch.batching.plan import BatchPlan, PairSet
    from hybridbatch.datasets.pairs_file import PairColumns, PairsFile
    from hybridbatch.spec.sources import DataLocation

    mix = {"monolingual": 0.5, "crosslingual": 0.5}
    BatchPlan([PairSet("", ("en", "de"), np.full(4, 3, np.uint8))], size=2, mix=mix, size_exponent=1, seed=0)
    cost = LoadCost()
    if row == "table":
        table = pq.read_table(file)
        rows_of: dict[str, dict[str, int]] = {}
        both = (table.column(name).to_pylist() for name in ("item", "language"))
        for number, (item, language) in enumerate(zip(*both, strict=True)):
            rows_of.setdefault(item, {})[language] = number
        rows, items = len(table), len(rows_of)
    else:
        columns = PairColumns(negatives="negatives" if negatives else None)
        pairs = PairsFile(path=str(file), columns=columns).pairs(DataLocation(file.parent, cache))
        rows, items = len(pairs.rows), len(pairs.row_IL)
    if row == "with batches":
        sets = [PairSet(pairs.name, pairs.languages, pairs.language_masks_I)]
        plan = BatchPlan(sets, size=64, mix=mix, size_exponent=1, seed=0)
        for step in range(10**6, 10**6 + 1000):
            batch = plan.batch(step)
            for language_B in (batch.question_language_B, batch.passage_language_B):
                rows_B = pairs.row_IL[batch.items_B, language_B]
                assert (rows_B >= 0).all()
                if pairs.negatives is not None:
                    starts_B, ends_B = pairs.negatives.bounds(rows_B)
                    assert (ends_B - starts_B == negatives).all()
                    assert all(pairs.negatives.chosen(starts_B)[0])
    return {"rows": rows, "items": items, **cost.so_far()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_400_000, 7_000_000])
    parser.add_argument("--negatives", type=int, default=0, help="texts of the list of each row")
    parser.add_argument("--measure", nargs="+", choices=ROWS, default=ROWS, help="a table takes 550 bytes a row")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)  # a child: row, file, cache
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row[0], Path(options.row[1]), Path(options.row[2]), options.negatives)))
        return
    found: list[dict[str, Any]] = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as place:
            file, cache = Path(place, "made.parquet"), Path(place, "cache")
            make_file(file, rows, options.negatives)
            size = file.stat().st_size / 1e6
            for row in options.measure:
                cost = measured_apart(__file__, row, file, cache, "--negatives", options.negatives)
                found.append({"row": row, "file_mb": size, **cost})
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'':14}{'rows':>12}{'items':>12}{'file':>10}{'seconds':>9}{'anonymous':>12}{'resident':>11}")
    for one in found:
        print(
            f"{one['row']:14}{one['rows']:12,}{one['items']:12,}{one['file_mb']:7.0f} MB{one['seconds']:9.1f}"
            f"{one['anonymous_mb']:9.0f} MB{one['resident_mb']:8.0f} MB"
        )


if __name__ == "__main__":
    main()
