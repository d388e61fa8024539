"""What every registered arm promises: settings that can be written and read, and a loss that follows the seed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.small_arms import arms, settings_of, write_files
from tests.small_study import content, experiment
from tests.tiny_trial import InterruptedTrialError, Rungs, make_trainer, make_workshop, run

from hybridbatch.foundation.registries import ARMS
from hybridbatch.search.checks import check_study
from hybridbatch.spec.reader import validate
from hybridbatch.training.arm import Arm, active_arms
from hybridbatch.training.workshop import Workshop

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


def test_arms_are_found_without_torch():
    code = (
        "import sys; from hybridbatch.foundation.registries import ARMS; "
        "assert ARMS.entries(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
