"""Files stay short, and their names say what is in them."""

from __future__ import annotations

import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST, MEDIAN = 400, 150
NAMES_THAT_SAY_NOTHING = {"utils", "common", "base", "manager", "helpers", "misc"}


def sources(*folders: str) -> list[Path]:
    return [file for folder in folders for file in (ROOT / folder).rglob("*.py")]


def test_no_file_is_long():
    long = {
        str(file.relative_to(ROOT)): lines
        for file in sources("platform", "tests", "experiments")
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert long == {}


def test_half_of_the_files_are_very_short():
    lengths = [len(file.read_text(encoding="utf-8").splitlines()) for file in sources("platform")]
    assert len(lengths) > 100
    assert statistics.median(lengths) < MEDIAN


def test_names_say_what_is_inside():
    nothing = [str(file) for file in sources("platform", "tests") if file.stem in NAMES_THAT_SAY_NOTHING]
    nothing += [str(file) for file in sources("platform") if file.parent.name in NAMES_THAT_SAY_NOTHING]
    assert nothing == []
