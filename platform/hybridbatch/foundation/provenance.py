"""What made a figure: git revision, packages, machine."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any


@functools.cache
def git_state(folder: Path) -> dict[str, Any]:
    """Return revision and whether there are uncommitted changes, empty outside a repository."""

    def git(*arguments: str) -> str | None:
        try:
            command = ["git", "-C", str(folder), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    revision = git("rev-parse", "HEAD")
    return {} if revision is None else {"revision": revision, "dirty": bool(git("status", "--porcelain"))}


@functools.cache
def packages() -> dict[str, str]:
    """Return the version of every installed package by name."""
    found = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions() if one.metadata["Name"]}
    return dict(sorted(found.items()))


def provenance() -> dict[str, Any]:
    """Return what is known of the code and machine that run now; never the name of the machine."""
    return {
        "git": git_state(Path(__file__).resolve().parent),
        "packages": packages(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
    }
