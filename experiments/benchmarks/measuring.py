"""What benchmarks of memory share: a process of its own for each row of the table, and what loading adds to it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hybridbatch.evaluation.peak_memory import PeakMemory


def measured_apart(script: str, *row: object) -> dict[str, Any]:
    """Return what ``script --row ...`` prints as JSON, in a process of its own."""
    command = [sys.executable, script, "--row", *map(str, row)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class LoadCost:
    """Watches what this process takes from the moment it is made."""

    def __init__(self) -> None:
        self._anonymous, self._resident, self._start = AnonymousMemory(), PeakMemory(), time.perf_counter()

    def so_far(self) -> dict[str, float]:
        """Return seconds, and the most megabytes that were added: of no file, and resident in all."""
        return {
            "seconds": time.perf_counter() - self._start,
            "anonymous_mb": self._anonymous.added(),
            "resident_mb": (self._resident.peak() - self._resident.before) / 2**20,
        }


class AnonymousMemory:
    """Watches the memory of this process that belongs to no file."""

    def __init__(self) -> None:
        self._before = self._most = self._now()
        threading.Thread(target=self._watch, daemon=True).start()

    def added(self) -> float:
        """Return the most that was added, in MB."""
        return (max(self._most, self._now()) - self._before) / 1024

    def _watch(self) -> None:
        while True:
            self._most = max(self._most, self._now())
            time.sleep(0.01)

    @staticmethod
    def _now() -> int:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("RssAnon:")[1].split()[0])
