"""What every registered arm promises: settings that can be written and read, and a loss that follows the seed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.small_arms import arms, settings_of, write_files
from tests.small_study import content, experiment
from tests.tiny_trial import InterruptedTrialError, Rungs, make_trainer, make_workshop, run

from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import ARMS
from hybridbatch.search.checks import check_study
from hybridbatch.spec.reader import validate
from hybridbatch.training.arm import Arm, active_arms
from hybridbatch.training.workshop import Workshop

# What an arm's settings only name, and its trials therefore record; a teacher in a folder has no commit.
SOURCES = {
    "code-switching": {"dictionary"},
    "domain-adaptation": {"text.0"},
    "lexical-injection": {"dictionary"},
    "optical": {"bitext"},
}
every_arm = pytest.mark.parametrize("name", arms())
HOOKS = ("text_change", "embedding_term", "state_term", "stage")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = make_workshop(tmp_path_factory.mktemp("arms"))
    write_files(made.location.root)
    return made


def changes(name: str, **more: Any) -> dict[str, Any]:
    return {f"arms.{name}": settings_of(name), "training.steps": 3, "training.evaluate_every": 3, **more}


def losses(workshop: Workshop, made: dict[str, Any]) -> list[float]:
    found: list[float] = []
    make_trainer(workshop, made).train_until(3, lambda point: found.append(point.loss))
    return found


@every_arm
def test_settings_survive_a_round_trip(name: str):
    arm = ARMS.get(name).model_validate_json(json.dumps(settings_of(name)))
    assert ARMS.get(name).model_validate_json(arm.model_dump_json()) == arm
    read = validate(content({f"arms.{name}": settings_of(name)}))
    assert dict(active_arms(read)) == {name: arm}
    assert not dict(active_arms(experiment({f"arms.{name}": None})))


@every_arm
def test_it_says_what_it_is_and_documents_every_setting(name: str):
    arm = ARMS.get(name)
    assert issubclass(arm, Arm)
    assert arm.description.endswith(".")
    documented = (arm.__doc__ or "").partition("Attributes:")[2]
    for setting in arm.model_fields:
        assert f"\n        {setting}: " in documented, f"{name}.{setting} is not documented"


@every_arm
def test_it_does_one_thing(name: str):
    assert sum(getattr(ARMS.get(name), hook) is not getattr(Arm, hook) for hook in HOOKS) == 1


@every_arm
def test_it_is_accepted_by_plan(name: str, workshop: Workshop):
    check_study(experiment({**changes(name), "search.baselines": {"off": {f"arms.{name}": None}}}), workshop.location)


@every_arm
def test_a_trial_is_the_same_twice_in_a_fresh_and_in_a_warm_worker(name: str, workshop: Workshop):
    first = losses(workshop, changes(name))
    assert losses(workshop, changes(name)) == first
    assert losses(Workshop(workshop.location), changes(name)) == first
    plain = losses(workshop, changes(name, **{f"arms.{name}": None}))
    assert first != plain or ARMS.get(name).stage is not Arm.stage, "the arm makes a difference"


@every_arm
def test_an_interrupted_trial_ends_as_if_it_had_not_been(name: str, workshop: Workshop, tmp_path: Path):
    made = changes(name, **{"training.steps": 4, "training.evaluate_every": 2, "backbone.dropout": 0.3})
    whole = run(workshop, tmp_path / "whole", made)
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path / "parts", made, Rungs(interrupt_at=2))
    parts = run(Workshop(workshop.location), tmp_path / "parts", made)
    assert [(one.step, one.train_loss) for one in parts.rungs] == [(one.step, one.train_loss) for one in whole.rungs]
    assert parts.rungs[-1].summary == whole.rungs[-1].summary
    assert parts.provenance["arms"] == whole.provenance["arms"]
    read = whole.provenance["arms"][name]
    assert set(read) == SOURCES.get(name, set())
    assert all(isinstance(one, str) and one for one in read.values())


@every_arm
def test_a_vocabulary_is_trimmed_beside_an_arm_that_keeps_to_the_corpus_and_no_other(name: str, workshop: Workshop):
    trimmed = changes(name, **{"training.trim_vocabulary": True, "training.weight_decay": 0.0})
    if ARMS.get(name).keeps_to_the_corpus:
        check_study(experiment(trimmed), workshop.location)
        whole = losses(workshop, {**trimmed, "training.trim_vocabulary": False})
        assert losses(workshop, trimmed) == pytest.approx(whole, abs=1e-5)
        return
    refused = (lambda: losses(workshop, trimmed), lambda: check_study(experiment(trimmed), workshop.location))
    for attempt in refused:
        with pytest.raises(UserError, match=rf"training\.trim_vocabulary: (.|\n)*true, with arms\.{name}"):
            attempt()


TOGETHER: dict[str, dict[str, Any]] = {
    "all arms, in bfloat16, with adapters": {
        "training.precision": "bf16",
        "training.lora": {"rank": 2, "dropout": 0.2},
        "training.chunk_tokens": 60,
    },
    "those that keep to the corpus, with adapters in a trimmed encoder and short embeddings": {
        "training.lora": {"rank": 2},
        "training.trim_vocabulary": True,
        "loss.matryoshka": [4, 8],
    },
    "all arms, the lowest layers frozen": {"backbone.layers": 2, "training.freeze_layers": 1, "loss.matryoshka": [8]},
}


@pytest.mark.parametrize("mix", list(TOGETHER))
def test_arms_go_together_with_each_other_and_an_interruption(mix: str, workshop: Workshop, tmp_path: Path):
    keeping = "training.trim_vocabulary" in TOGETHER[mix]
    chosen = [name for name in arms() if ARMS.get(name).keeps_to_the_corpus or not keeping]
    made = {**{f"arms.{name}": settings_of(name) for name in chosen}, **TOGETHER[mix]}
    made |= {"training.steps": 4, "training.evaluate_every": 2, "backbone.dropout": 0.3}
    check_study(experiment(made), workshop.location)
    whole = run(workshop, tmp_path / "whole", made)
    assert (whole.state, whole.reason) == ("complete", None)
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path / "parts", made, Rungs(interrupt_at=2))
    run(Workshop(workshop.location), tmp_path / "parts", made)
    saved = [load_file(tmp_path / name / "00000" / "model" / "model.safetensors") for name in ("whole", "parts")]
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])
    assert not any("lora" in name for name in saved[0])


def test_arms_are_found_without_torch():
    code = (
        "import sys; from hybridbatch.foundation.registries import ARMS; "
        "assert ARMS.entries(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
