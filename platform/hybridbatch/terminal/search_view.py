"""What a search of a corpus came to, as a person reads it and as a script does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from hybridbatch.evaluation.corpus_evaluation import CorpusResult
from hybridbatch.terminal.result_view import print_result, result_json

_MEGABYTE = 1e6


def search_json(found: CorpusResult) -> dict[str, Any]:
    """Return the measures as ``evaluate`` names them, and what every shard and index took."""
    return {
        **result_json(found.result),
        "top": found.best.index_QK.shape[1],
        "encoded": found.encoded,
        "memory_bound": found.memory_bound,
        "encoding": [asdict(cost) for cost in found.encoding],
        "searching": [asdict(cost) for cost in found.searching],
        "indices": [
            {**asdict(index), "recall": {str(k): value for k, value in index.recall.items()}} for index in found.indices
        ],
    }


def print_search(found: CorpusResult, console: Console) -> None:
    """Print the measures, time and memory of every shard, and what approximate indices are worth."""
    print_result(found.result, console, cells=False)
    encode_seconds = {cost.shard: cost.seconds for cost in found.encoding}
    table = _table("shard", "passages", "encode s", "search s", "passages/s", "added MB", "attempts")
    for cost in found.searching:
        seconds = encode_seconds.get(cost.shard)
        table.add_row(
            str(cost.shard),
            f"{cost.passages:,}",
            "" if seconds is None else f"{seconds:.1f}",
            f"{cost.seconds:.1f}",
            f"{cost.passages / max(cost.seconds, 1e-9):,.0f}",
            f"{(cost.peak_memory - cost.memory_before) / _MEGABYTE:.0f}",
            str(cost.attempts),
        )
    console.print()
    console.print(table)
    console.print(
        f"searching a shard adds at most {found.memory_bound / _MEGABYTE:.0f} MB to a process, however large it is; "
        f"{found.encoded:,} texts were encoded, the others were there",
    )
    if found.indices:
        recalls = list(found.indices[0].recall)
        table = _table("index", *(f"recall@{k}" for k in recalls), "build s", "search s", "MB")
        for index in found.indices:
            table.add_row(
                index.index,
                *(f"{index.recall[k]:.4f}" for k in recalls),
                f"{index.build_seconds:.1f}",
                f"{index.search_seconds:.2f}",
                f"{index.index_bytes / _MEGABYTE:.1f}",
            )
        console.print("\nrecall against the exact lists; seconds and memory of all shards together", style="italic")
        console.print(table)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table
