"""What continuous integration asks for: a test that must run there fails when it is skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("test", "without", "need"),
    [
        ("tests/integration/test_bad_input.py::test_a_disk_that_cannot_be_written", "PATH", "small_disk"),
        ("tests/unit/test_leakage.py::test_shared_training_files_hold_no_text_of_the_report_sets", "HYBRIDBATCH_DATA",
         "data"),
        ("tests/unit/test_dashboards.py::test_prometheus_understands_its_configuration", "PATH", "prometheus"),
    ],
)  # fmt: skip
def test_a_skipped_test_fails_where_nothing_may_be_skipped(test: str, without: str, need: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != without}
    if without == "PATH":
        environment["PATH"] = "/nowhere"  # no `mount` there
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", test]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    strict = [*command, "--nothing-skipped"]
    done = subprocess.run(strict, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert f"was skipped, but this has to be here: {need}" in done.stdout
