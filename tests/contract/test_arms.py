"""What every registered arm promises: documented settings, and trials that are the same twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.small_study import content
from tests.tiny_trial import make_workshop, run

from hybridbatch.foundation.registries import ARMS
from hybridbatch.spec.reader import validate
from hybridbatch.training.arm import Arm
from hybridbatch.training.workshop import Workshop

# One way to make each registered arm small; an arm that needs no more than its name needs no entry.
SMALL: dict[str, dict[str, Any]] = {
    "lexical-injection": {"dictionary": "words.parquet", "steps": 3, "batch_size": 8, "learning_rate": 0.01},
    "domain-adaptation": {"text": [{"dataset": "parallel-pairs", "path": "small.csv"}], "steps": 3, "batch_size": 8},
}
every_arm = pytest.mark.parametrize("name", sorted(ARMS.entries()))


def settings(name: str) -> dict[str, Any]:
    return SMALL.get(name, {})


def write_dictionary(file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = [(f"thing{number}", language, f"{language}{number}") for number in range(30) for language in ("de", "es")]
    english, languages, translations = (list(column) for column in zip(*words, strict=True))
    columns = {"english": english, "language": languages, "word": translations, "source": ["made"] * len(words)}
    pq.write_table(pa.table(columns), file)


@every_arm
def test_settings_survive_being_written_down(name: str):
    arm = getattr(validate(content({f"arms.{name}": settings(name)})).arms, name)
    assert isinstance(arm, Arm)
    assert type(arm).model_validate_json(json.dumps(arm.model_dump(mode="json"))) == arm


@every_arm
def test_it_says_what_it_does(name: str):
    arm = ARMS.get(name)
    assert arm.description.endswith(".")
    documented = arm.__doc__ or ""
    assert all(f"    {field}: " in documented for field in arm.model_fields), "each setting in `Attributes:`"
    changed = {"text_change", "embedding_term", "state_term", "stage"} & set(vars(arm))
    assert len(changed) == 1, "an arm does one thing"


@every_arm
def test_a_trial_with_it_is_the_same_twice_and_not_the_same_without(name: str, tmp_path: Path):
    workshop = make_workshop(tmp_path)
    write_dictionary(workshop.location.root / "words.parquet")
    changes = {f"arms.{name}": settings(name), "training.steps": 3, "training.evaluate_every": 3}
    first = run(workshop, tmp_path / "first", changes)
    again = run(Workshop(workshop.location), tmp_path / "again", changes)
    without = run(workshop, tmp_path / "without", {**changes, f"arms.{name}": None})
    losses = [[rung.train_loss for rung in one.rungs] for one in (first, again, without)]
    assert first.state == "complete"
    assert losses[0] == losses[1] != losses[2]
    assert first.rungs[-1].summary == again.rungs[-1].summary
