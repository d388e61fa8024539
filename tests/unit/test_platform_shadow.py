"""``platform/`` is a source root: as a package it would hide the standard library's ``platform``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_source_root_is_no_package():
    assert (ROOT / "platform" / "hybridbatch" / "__init__.py").exists()
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_the_standard_library_is_found_from_the_root_of_the_repository():
    code = "import platform, uuid; uuid.uuid4(); print(platform.python_version(), platform.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    version, file = done.stdout.split()
    assert version.startswith("3.")
    assert not Path(file).is_relative_to(ROOT / "platform")
