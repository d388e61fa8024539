"""Batch plans at the size of the largest training sets, measured by the benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "experiments/benchmarks/batch_plans.py"
MOST = 200  # megabytes that masks, plan and a thousand batches may add to a process


@pytest.mark.parametrize("case", ["complete", "half"])
def test_a_plan_of_every_kind_over_44_million_items_stays_small(case: str):
    options = ["--rows", "plan", "--mix", "every-kind", "--cases", case, "--batch", "64", "--repeats", "1", "--json"]
    done = subprocess.run([sys.executable, str(BENCHMARK), *options], capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)
    assert found["masks_mb"] > 43
    assert found["masks_mb"] <= found["added_mb"] <= MOST
