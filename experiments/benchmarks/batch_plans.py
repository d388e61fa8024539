"""How long a batch plan at mMARCO's size takes, and how much memory, beside the plain way, in one run.

    python experiments/benchmarks/batch_plans.py [--mix hybrid every-kind] [--batch 64 1024] [--repeats 3] [--json]

The nine training sets of arXiv 2408.10536, by their sizes and languages, with made language masks: ``complete``, every
item in every language, and ``half``, every item of a parallel set in each language with chance one half. Each row of
the table is a process of its own, by turns in each round, medians of the rounds:

- plan: the masks are made; then :class:`hybridbatch.batching.plan.BatchPlan` and the batches of 1,000 steps from a
  random one on are timed;
- lists: the least that the plain way takes, one epoch of the same sets in memory: for each kind, set and language the
  numbers of the usable items as a list of 64-bit numbers, shuffled. Its batches are slices, timed too; it knows no
  step but the next.

``cpu`` is the processor's time for plan and steps, which a busy machine changes less. Memory is the most that was
resident (``VmHWM``) less what the process held after its imports (``VmRSS``): masks, plan and batches together. In
``half`` half of the languages of an item are missing, far more than in real data.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np

from hybridbatch.batching.plan import BatchPlan, PairSet
from hybridbatch.evaluation.peak_memory import PeakMemory
from hybridbatch.foundation.registries import BATCH_KINDS
from measuring import measured_apart

NINE = ("en", "ar", "zh", "de", "es", "ru", "th", "tr", "hi")
SEVEN = ("en", "ar", "zh", "de", "es", "ru", "hi")
SETS = {
    "WikiQA": (1_469, NINE),
    "DuoRC": (33_298, NINE),
    "NewsQA": (59_496, NINE),
    "NQ": (113_535, NINE),
    "Yahoo QA": (135_557, NINE),
    "EntityQuestions": (176_975, NINE),
    "Mr. TyDi": (3_547, ("en",)),
    "MFAQ": (3_567_659, ("en",)),
    "mMARCO": (39_780_811, SEVEN),
}
MIXES = {
    "monolingual": {"monolingual": 1.0},
    "crosslingual": {"crosslingual": 1.0},
    "multilingual": {"multilingual": 1.0},
    "hybrid": {"monolingual": 0.5, "crosslingual": 0.5},
    "every-kind": dict.fromkeys(("english", "same-language", "monolingual", "crosslingual", "multilingual"), 0.2),
}
STEPS = 1_000
CASES = ("complete", "half")
ROWS = ("plan", "lists")


def made_sets(case: str) -> list[PairSet]:
    """Return the nine sets with made masks; every item exists in one language at least."""
    random = np.random.default_rng(0)
    sets = []
    for name, (items, languages) in SETS.items():
        full, narrow = (1 << len(languages)) - 1, np.min_scalar_type((1 << len(languages)) - 1)
        if case == "complete":
            masks_I = np.full(items, full, narrow)
        else:
            masks_I = random.integers(1, full, items, dtype=narrow, endpoint=True)
        sets.append(PairSet(name, languages, masks_I))
    return sets


def planned(sets: list[PairSet], mix: dict[str, float], batch: int, first: int) -> tuple[float, float]:
    """Return the seconds for the plan and for the batches of 1,000 steps from step ``first`` on."""
    start = time.perf_counter()
    plan = BatchPlan(sets, size=batch, mix=mix, size_exponent=1.0, seed=0)
    made = time.perf_counter()
    for step in range(first, first + STEPS):
        plan.batch(step)
    return made - start, time.perf_counter() - made


def listed(sets: list[PairSet], mix: dict[str, float], batch: int) -> tuple[float, float]:
    """Return the same for lists of items in memory, shuffled, and 1,000 slices of them from their start."""
    random, start = np.random.default_rng(0), time.perf_counter()
    streams, weights = [], []
    for name, weight in mix.items():
        kind, of_kind = BATCH_KINDS.get(name), []
        for pair_set in sets:
            for language in kind.batch_languages(pair_set.languages):
                usable = np.flatnonzero(kind.pairs_per_item(pair_set.masks_I, pair_set.languages, language))
                if len(usable) >= batch:
                    of_kind.append((kind, pair_set, language, random.permutation(usable)))
        items = sum(len(stream[-1]) for stream in of_kind)
        weights += [weight * len(stream[-1]) / items for stream in of_kind]
        streams += of_kind
    made, visited = time.perf_counter(), [0] * len(streams)
    for chosen in random.choice(len(streams), STEPS, p=np.array(weights) / sum(weights)):
        kind, pair_set, language, shuffled = streams[chosen]
        first = visited[chosen] % (len(shuffled) - batch + 1)
        visited[chosen] += batch
        items_B = shuffled[first : first + batch]
        masks_B = pair_set.masks_I[items_B]
        index_B = random.integers(0, kind.pairs_per_item(masks_B, pair_set.languages, language))
        kind.pair(masks_B, index_B, pair_set.languages, language)
    return made - start, time.perf_counter() - made


def measure(row: str, case: str, mix: str, batch: int, first: int) -> dict[str, float]:
    """Return seconds and megabytes of one row; runs in a process of its own."""
    for kind in MIXES[mix]:
        BATCH_KINDS.get(kind)  # imported before anything is measured
    memory = PeakMemory()
    sets = made_sets(case)
    masks = sum(pair_set.masks_I.nbytes for pair_set in sets)
    weights, start = MIXES[mix], time.process_time()
    plan, steps = planned(sets, weights, batch, first) if row == "plan" else listed(sets, weights, batch)
    cpu, added = time.process_time() - start, memory.peak() - memory.before
    return {"plan_s": plan, "steps_s": steps, "cpu_s": cpu, "added_mb": added / 1e6, "masks_mb": masks / 1e6}


def medians(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every row as often as asked for and return the medians."""
    chosen = [
        (row, case, mix, batch)
        for mix in options.mix
        for case in options.cases
        for batch in options.batch
        for row in options.rows
    ]
    found: dict[tuple[str, str, str, int], list[dict[str, float]]] = {one: [] for one in chosen}
    for turn in range(options.repeats):
        first = int(np.random.default_rng(turn).integers(10**9))
        for one in chosen:  # by turns, so that a busy moment of the machine hits all of them
            found[one].append(measured_apart(__file__, *one, first))
    return [
        {
            **dict(zip(("row", "case", "mix", "batch"), one, strict=True)),
            **{name: statistics.median(turn[name] for turn in turns) for name in turns[0]},
        }
        for one, turns in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mix", nargs="+", choices=MIXES, default=["hybrid", "every-kind"])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 1024])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--row", nargs=5, help=argparse.SUPPRESS)  # a child: row, case, mix, batch, first step
    options = parser.parse_args()
    if options.row:
        row, case, mix, batch, first = options.row
        print(json.dumps(measure(row, case, mix, int(batch), int(first))))
        return
    found = medians(options)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    items = sum(size for size, _ in SETS.values())
    print(f"{items:,} items in {len(SETS)} sets, {STEPS:,} steps; seconds, and megabytes with the masks")
    print(f"{'mix':14}{'masks':10}{'batch':>6}  {'':8}{'plan':>8}{'steps':>8}{'both':>8}{'cpu':>8}{'memory':>9}")
    for one in found:
        both = one["plan_s"] + one["steps_s"]
        print(
            f"{one['mix']:14}{one['case']:10}{one['batch']:6}  {one['row']:8}"
            f"{one['plan_s']:8.2f}{one['steps_s']:8.2f}{both:8.2f}{one['cpu_s']:8.2f}{one['added_mb']:6.0f} MB"
        )


if __name__ == "__main__":
    main()
