"""Memory that batch plans and training pairs take, measured by the benchmarks at the size of the largest sets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "experiments/benchmarks"
MOST = 200  # megabytes


def measured(script: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCHMARKS / script), *options, "--json"]
    (found,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return dict(found)


@pytest.mark.parametrize("case", ["complete", "half"])
def test_a_plan_of_every_kind_over_44_million_items_stays_small(case: str):
    options = ["--rows", "plan", "--mix", "every-kind", "--cases", case, "--batch", "64", "--repeats", "1"]
    found = measured("batch_plans.py", *options)
    assert found["masks_mb"] > 43
    assert found["masks_mb"] <= found["added_mb"] <= MOST


def test_pairs_are_read_and_grouped_in_bounded_memory():
    """So many rows are dealt out to files; as a table they take three times the bound."""
    found = measured("pairs_memory.py", "--rows", "1100000", "--measure", "first load")
    assert (found["rows"], found["items"]) == (7 * 157_142, 157_142)
    assert 20 < found["anonymous_mb"] <= MOST
