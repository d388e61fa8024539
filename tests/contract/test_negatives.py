"""What every registered source of hard negatives promises: settings that can be written and read, and no torch yet."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.small_study import experiment

from hybridbatch.foundation.registries import NEGATIVES
from hybridbatch.training.negative_source import NegativeSource

every_source = pytest.mark.parametrize("name", NEGATIVES.entries())


@every_source
def test_settings_survive_a_round_trip(name: str):
    source = NEGATIVES.get(name)(source=name)
    assert NEGATIVES.get(name).model_validate_json(source.model_dump_json()) == source
    assert experiment({"batches.hard_negatives": {"source": name}}).batches.hard_negatives == source


@every_source
def test_it_says_what_it_is_and_documents_every_setting(name: str):
    source = NEGATIVES.get(name)
    assert issubclass(source, NegativeSource)
    assert source.description.endswith(".")
    documented = [(one.__doc__ or "").partition("Attributes:")[2] for one in (NegativeSource, source)]
    for setting in source.model_fields:
        assert any(f"\n        {setting}: " in one for one in documented), f"{name}.{setting} is not documented"


def test_sources_are_found_without_torch():
    code = (
        "import sys; from hybridbatch.foundation.registries import NEGATIVES; "
        "assert NEGATIVES.entries(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
