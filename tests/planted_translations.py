"""A tiny encoder in which words of two languages mean the same in different dimensions.

English words have their meaning in some dimensions of the embedding, foreign words the same numbers in others, so that
a word and its translation have nothing in common until one map is learnt, which then holds for words never seen.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
from tests.small_study import content
from tests.word_encoder import word_backbone, write_word_encoder

from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.reader import validate

WORDS, WIDTH, MEANING = 120, 32, 8


def english(word: int) -> str:
    """Return an English word."""
    return f"e{word}"


def foreign(word: int) -> str:
    """Return its translation."""
    return f"x{word}"


def write_files(folder: Path) -> Path:
    """Write the encoder, a dictionary of some words, English pairs of these, and pairs of other words in both."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    meaning = np.random.default_rng(0).standard_normal((WORDS, MEANING))
    rows = np.zeros((2 * WORDS, 2 * MEANING))
    rows[:WORDS, :MEANING], rows[WORDS:, MEANING:] = meaning, meaning
    words = [*map(english, range(WORDS)), *map(foreign, range(WORDS))]
    write_word_encoder(folder / "encoder", words, layers=2, width=WIDTH, rows=rows)
    known, held_out = range(WORDS * 3 // 4), range(WORDS * 3 // 4, WORDS)
    columns = {
        "english": [english(word) for word in known],
        "language": ["xx" for _ in known],
        "word": [foreign(word) for word in known],
        "source": ["planted" for _ in known],
    }
    pq.write_table(pa.table(columns), folder / "dictionary.parquet")
    draw = random.Random(3)
    for name, items, languages in (("train", 64, ("en",)), ("dev", 40, ("en", "xx"))):
        rows = ["item,language,query,passage"]
        for item in range(items):
            words = draw.sample(known if name == "train" else held_out, 5)
            for language in languages:
                said = [english(word) if language == "en" else foreign(word) for word in words]
                rows.append(f"{name}{item},{language},{' '.join(said[:4])},{' '.join(said[1:])}")
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def planted_experiment(changes: dict[str, Any] | None = None) -> Experiment:
    """Return an experiment that is fine-tuned on English pairs and measured across languages."""
    sets = [{"dataset": "parallel-pairs", "path": f"{name}.csv"} for name in ("train", "dev")]
    return validate(
        content(
            {
                "data": {"train": sets[:1], "selection": sets[1]},
                "backbone": word_backbone("encoder"),
                "batches": {"size": 16, "mix": {"monolingual": 1.0}},
                "training": {"steps": 10, "learning_rate": 0.0003, "evaluate_every": 10},
                "search": {"trials": 1, "objectives": [{"metric": "map_cross"}]},
                **(changes or {}),
            }
        )
    )
