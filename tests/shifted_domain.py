"""A made-up domain shift: questions and passages of a topic share no word, and fine-tuning teaches other topics.

Every topic has words that stand in questions and others that stand in passages. Only who has read texts of the topic
knows that they belong together. Fine-tuning pairs are of one set of topics, questions asked later of another.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.small_study import content

from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.reader import validate

TOPICS, WORDS = 12, 3  # of each domain; of each topic for questions, and as many for passages


def _words(topic: int, of_questions: bool) -> list[str]:
    """Return words of one letter each, so that every tokenizer knows them: rare characters."""
    first = 0x4E00 + (2 * topic + of_questions) * WORDS
    return [chr(first + index) for index in range(WORDS)]


def _text(words: list[str], draw: random.Random, count: int) -> str:
    return " ".join(draw.sample(words, count))


def write_domains(folder: Path) -> Path:
    """Write pairs of the known domain, pairs of the shifted one, and unlabelled texts of the shifted one."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(5)
    shifted = range(TOPICS, 2 * TOPICS)
    rows = {name: ["item,language,query,passage"] for name in ("known", "shifted", "unlabelled")}
    # a word of the shifted domain stands in known questions by chance, so that the tokenizer has it
    foreign = [word for topic in shifted for side in (True, False) for word in _words(topic, side)]
    for item in range(20 * TOPICS):
        topic = item % TOPICS
        query, passage = (_text(_words(topic, side), draw, 2) for side in (True, False))
        rows["known"].append(f"k{item},en,{query} {foreign[item % len(foreign)]},{passage}")
    for topic in shifted:
        query, passage = (_text(_words(topic, side), draw, 2) for side in (True, False))
        rows["shifted"].append(f"s{topic},en,{query},{passage}")
        for number in range(60):
            text = _text(_words(topic, True) + _words(topic, False), draw, 5)
            rows["unlabelled"].append(f"u{topic}-{number},en,-,{text}")
    for name, content_ in rows.items():
        (folder / f"{name}.csv").write_text("\n".join(content_) + "\n", encoding="utf-8")
    return folder


def shifted_experiment(changes: dict[str, Any] | None = None) -> Experiment:
    """Return an experiment that is fine-tuned on the known domain and measured on the shifted one."""
    shifted = {"dataset": "parallel-pairs", "path": "shifted.csv"}
    made = content(
        {
            "data": {"train": [{"dataset": "parallel-pairs", "path": "known.csv"}], "selection": shifted},
            "backbone.width": 48,
            "backbone.feed_forward": 96,
            "backbone.vocabulary": 1000,
            "backbone.question_prefix": "",
            "backbone.passage_prefix": "",
            "batches": {"size": 32, "mix": {"monolingual": 1.0}},
            "training": {"steps": 20, "learning_rate": 0.001, "evaluate_every": 20},
            "search": {"trials": 1, "objectives": [{"metric": "map_mono"}]},
            **(changes or {}),
        }
    )
    return validate(made)
