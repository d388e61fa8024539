"""A made-up retrieval problem in two languages that share no word: questions name things, passages their counterparts.

Each thing has a word for questions and another one for passages, in each of the languages, so that no question shares
a word with its answer: what goes with what has to be learnt, and in which word of the second language it is said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

THINGS, NAMED, TRAINED, ASKED, SENTENCES = 12, 3, 300, 40, 300
LANGUAGES = ("en", "xx")
ENCODER = {"layers": 1, "width": 32, "heads": 2, "feed_forward": 32, "vocabulary": 600}
LENGTHS = {"question_tokens": 24, "passage_tokens": 24}


def write(folder: Path, seed: int) -> None:
    """Write ``train.csv`` and ``report.csv`` with pairs, ``bitext.csv`` with sentences of all words in any order."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    words = [first + second for first in syllables for second in syllables]
    word_LW = generator.permutation(words)[: 4 * THINGS].reshape(2, 2 * THINGS)

    def said(language: int, chosen: np.ndarray) -> str:
        return " ".join(word_LW[language, chosen])

    for file, items in (("train.csv", TRAINED), ("report.csv", ASKED)):
        rows = ["item,language,query,passage"]
        for item in range(items):
            things = generator.permutation(THINGS)[:NAMED]
            for index, language in enumerate(LANGUAGES):
                rows.append(f"{item},{language},{said(index, things)},{said(index, things + THINGS)}")
        (folder / file).write_text("\n".join(rows) + "\n", encoding="utf-8")
    rows = ["item,language,text"]
    for item in range(SENTENCES):
        chosen = generator.permutation(2 * THINGS)[: 2 * NAMED]
        rows += [f"{item},{language},{said(index, chosen)}" for index, language in enumerate(LANGUAGES)]
    (folder / "bitext.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def changes(steps: int, **more: Any) -> dict[str, Any]:
    """Return what makes the small study learn this from questions and passages in English alone."""
    return {
        "data.train": [{"dataset": "parallel-pairs", "path": "train.csv"}],
        "data.selection": {"dataset": "parallel-pairs", "path": "train.csv"},
        "data.report": [{"dataset": "parallel-pairs", "path": "report.csv"}],
        "data.allow_overlap": {"reason": "a combination of things may be drawn twice"},
        "batches": {"size": 16, "mix": {"english": 1.0}},
        "search.baselines": {},
        "training": {"steps": steps, "learning_rate": 0.01, "evaluate_every": steps},
        **more,
    }
