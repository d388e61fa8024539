"""A made-up domain shift: questions and passages of a topic share no word, and fine-tuning teaches other topics.

Every topic has words that stand in questions and others that stand in passages. Only who has read texts of the topic
knows that they belong together. Fine-tuning pairs are of one set of topics, questions asked later of another.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.small_study import content
from tests.word_encoder import word_backbone, write_word_encoder

from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.reader import validate

TOPICS, WORDS = 20, 4  # of each domain; of each topic for questions, and as many for passages


def _words(topic: int, side: str) -> list[str]:
    return [f"{side}{topic}-{number}" for number in range(WORDS)]


def _text(words: list[str], draw: random.Random, count: int) -> str:
    return " ".join(draw.sample(words, count))


def write_domains(folder: Path) -> Path:
    """Write an encoder, pairs of the known domain, pairs of the shifted one, and unlabelled texts of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [word for topic in range(2 * TOPICS) for side in ("q", "p") for word in _words(topic, side)]
    write_word_encoder(folder / "encoder", words, layers=1, width=32)
    draw = random.Random(5)
    rows = {name: ["item,language,query,passage"] for name in ("known", "shifted", "unlabelled")}
    for topic in range(2 * TOPICS):
        of_questions, of_passages = _words(topic, "q"), _words(topic, "p")
        name, items = ("known", 8) if topic < TOPICS else ("shifted", 1)
        for item in range(items):
            query, passage = _text(of_questions, draw, 3), _text(of_passages, draw, 3)
            rows[name].append(f"{topic}-{item},en,{query},{passage}")
        for item in range(40 if topic >= TOPICS else 0):
            rows["unlabelled"].append(f"{topic}-{item},en,-,{_text(of_questions + of_passages, draw, 6)}")
    for name, lines in rows.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def shifted_experiment(changes: dict[str, Any] | None = None) -> Experiment:
    """Return an experiment that is fine-tuned on the known domain and measured on the shifted one."""
    shifted = {"dataset": "parallel-pairs", "path": "shifted.csv"}
    made = content(
        {
            "data": {"train": [{"dataset": "parallel-pairs", "path": "known.csv"}], "selection": shifted},
            "backbone": word_backbone("encoder"),
            "batches": {"size": 32, "mix": {"monolingual": 1.0}},
            "training": {"steps": 20, "learning_rate": 0.001, "evaluate_every": 20},
            "search": {"trials": 1, "objectives": [{"metric": "map_mono"}]},
            **(changes or {}),
        }
    )
    return validate(made)
