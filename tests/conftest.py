"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# No test may look for a model hub or send statistics.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the public data sets."""
    for item in items:
        if "data_root" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the public data sets; tests that need it are skipped where it is not."""
    folder = os.environ.get("HYBRIDBATCH_DATA")
    if not folder:
        pytest.skip("HYBRIDBATCH_DATA is not set")
    return Path(folder).resolve()
