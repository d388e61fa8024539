"""How much memory loading a corpus takes, streamed into the cache and as BEIR's own loader holds it, in one run.

    python experiments/benchmarks/corpus_memory.py [--documents 500000 2000000] [--words 40] [--json]

A collection in BEIR's layout is made in a temporary folder: short documents of random words, 1,000 questions with one
relevant document each. Each row of the table is a process of its own:

- first load: the corpus is read, checked, and written into the cache;
- second load: the cache is read;
- dictionary: what beir.datasets.data_loader.GenericDataLoader keeps, id to title and text, read with json.

Anonymous is the most memory that belonged to no file (``RssAnon``, looked at every 10 ms), resident the most that was
resident (``VmHWM``), both less what the process had after its imports. Pages of mapped files are resident, too, though
the system takes them back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from measuring import LoadCost, measured_apart

ROWS = ("first load", "second load", "dictionary")
QUESTIONS = 1_000


def make_collection(folder: Path, documents: int, words: int) -> int:
    """Write a collection and return the bytes of its corpus."""
    chance = random.Random(0)
    vocabulary = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(20_000)]
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as corpus:
        for number in range(documents):
            text = " ".join(chance.choices(vocabulary, k=words))
            corpus.write(json.dumps({"_id": f"doc{number}", "title": vocabulary[number % 20_000], "text": text}) + "\n")
    relevant = chance.sample(range(documents), QUESTIONS)
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as queries:
        for number in range(QUESTIONS):
            queries.write(json.dumps({"_id": f"q{number}", "text": " ".join(chance.choices(vocabulary, k=6))}) + "\n")
    lines = [f"q{number}\tdoc{row}\t1\n" for number, row in enumerate(relevant)]
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8")
    return (folder / "corpus.jsonl").stat().st_size


def measure(row: str, folder: Path, cache: Path) -> dict[str, float]:
    """Return seconds and memory of one row; runs in a process of its own."""
    import datasets  # noqa: F401 - what a load imports is not what it takes
    import pyarrow.compute  # noqa: F401

    from hybridbatch.datasets.beir import Beir
    from hybridbatch.spec.sources import DataLocation

    cost = LoadCost()
    if row == "dictionary":
        kept = {}
        with (folder / "corpus.jsonl").open(encoding="utf-8") as corpus:
            for line in corpus:
                record = json.loads(line)
                kept[record["_id"]] = {"title": record["title"], "text": record["text"]}
        documents = len(kept)
    else:
        documents = len(Beir(folder=str(folder)).task(DataLocation(folder, cache)).candidates)
    return {"documents": documents, **cost.so_far()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[500_000, 2_000_000])
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)  # a child: row, folder, cache
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row[0], Path(options.row[1]), Path(options.row[2]))))
        return
    found: list[dict[str, Any]] = []
    for documents in options.documents:
        with tempfile.TemporaryDirectory() as place:
            folder, cache = Path(place, "made"), Path(place, "cache")
            size = make_collection(folder, documents, options.words) / 1e6
            for row in ROWS:
                found.append({"row": row, "corpus_mb": size, **measured_apart(__file__, row, folder, cache)})
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'':12}{'documents':>12}{'corpus':>10}{'seconds':>9}{'anonymous':>12}{'resident':>11}")
    for one in found:
        print(
            f"{one['row']:12}{one['documents']:12,}{one['corpus_mb']:7.0f} MB{one['seconds']:9.1f}"
            f"{one['anonymous_mb']:9.0f} MB{one['resident_mb']:8.0f} MB"
        )


if __name__ == "__main__":
    main()
