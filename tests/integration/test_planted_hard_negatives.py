"""Distractors that no batch shows beside the answer: with hard negatives they are told apart, without they are not.

Questions of each sort are answered in a style of their own, which is all that tells the answer from its distractors.
Batches hold one sort at a time, so that in-batch negatives say nothing of style. Distractors are the answer in another
style, in capitals: other texts with the same tokens, for texts of one item are never negatives of each other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from tests.tiny_trial import make_trainer

from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.token_store import tokenized_in_memory
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.workshop import Workshop

NAMES = [first + last for first in ("ba", "ce", "di", "fo", "gu", "ha") for last in ("lam", "ner", "pit", "ros")]
SORTS = {"where": "there", "when": "then", "why": "thus", "who": "they"}
STEPS = 80


def others(asked: str) -> list[str]:
    return [style for sort, style in SORTS.items() if sort != asked]


def recall_at_1(trainer: Trainer, workshop: Workshop) -> float:
    """Return the share of questions whose answer ranks before the same name in the styles of other sorts."""
    tokenizer, _ = workshop.tokenizer(trainer.experiment)

    def embeddings(texts: list[str], prefix: str) -> torch.Tensor:
        return encode(trainer.encoder, tokenized_in_memory(texts, tokenizer, prefix=prefix, longest=24))

    right = 0
    for asked, style in SORTS.items():
        questions = embeddings([f"{asked} {name}" for name in NAMES], "Query: ")
        styles = [style, *others(asked)]
        answers = embeddings([f"{name} {one}" for one in styles for name in NAMES], "Passage: ")
        right += int(((questions @ answers.T).argmax(dim=1) == torch.arange(len(NAMES))).sum())
    return right / (len(NAMES) * len(SORTS))


def trained(
    workshop: Workshop, sets: list[dict[str, Any]], mix: str, negatives: dict[str, Any] | None, seed: int = 0
) -> Trainer:
    changes = {
        "data.train": sets,
        "data.selection": {**sets[0], "columns": {}},
        "data.report": [],
        "batches.mix": {mix: 1.0},
        "batches.hard_negatives": negatives,
        "loss.directions": "question-to-passage",
        "training.steps": STEPS,
        "training.seed": seed,
        "training.evaluate_every": STEPS,
    }
    trainer = make_trainer(workshop, changes)
    trainer.train_until(STEPS, lambda point: None)
    return trainer


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def test_given_negatives_tell_what_batches_do_not(tmp_path: Path):
    rows = [
        {
            "item": name,
            "language": asked,  # batches are of one language
            "query": f"{asked} {name}",
            "passage": f"{name} {style}",
            "negatives": [f"{name} {other}".upper() for other in others(asked)],
        }
        for name in NAMES
        for asked, style in SORTS.items()
    ]
    write(tmp_path / "planted.jsonl", rows)
    sets = [{"dataset": "parallel-pairs", "path": "planted.jsonl", "columns": {"negatives": "negatives"}}]
    workshop = Workshop(DataLocation(tmp_path, tmp_path / "cache"))
    found = [recall_at_1(trained(workshop, sets, "monolingual", one), workshop) for one in (None, {"source": "given"})]
    assert found[0] <= 0.6
    assert found[1] >= 0.95


def test_mined_negatives_tell_what_batches_do_not(tmp_path: Path):
    sets = []
    for asked, style in SORTS.items():  # batches are of one set
        rows = []
        for name in NAMES:
            pair = {"item": name, "query": f"{asked} {name}", "passage": f"{name} {style}"}
            rows += [{**pair, "language": language} for language in ("de", "en")]
            for other in others(asked):  # in one language alone: no crosslingual batch holds them
                distractor = {"query": f"about {name}", "passage": f"{name} {other}".upper()}
                rows.append({"item": f"{name} {other}", "language": "en", **distractor})
        write(tmp_path / f"{asked}.jsonl", rows)
        sets.append({"dataset": "parallel-pairs", "path": f"{asked}.jsonl"})
    workshop = Workshop(DataLocation(tmp_path, tmp_path / "cache"))
    first = trained(workshop, sets, "crosslingual", None)
    tokenizer, _ = workshop.tokenizer(first.experiment)
    note = {"question_prefix": "Query: ", "passage_prefix": "Passage: ", "question_tokens": 24, "passage_tokens": 24}
    save_encoder(cast(TextEncoder, first.encoder), tokenizer, note, tmp_path / "first")
    # it takes the distractors for answers, so that no limit may look at its scores
    mined = {"source": "mined", "model": "first", "relative_margin": None, "keep": 3}
    second = trained(workshop, sets, "crosslingual", mined)
    assert recall_at_1(first, workshop) <= 0.6
    assert recall_at_1(second, workshop) >= 0.95
