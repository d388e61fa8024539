"""Who works on a trial: a process that can be told to be dead, and a lease for when that cannot be told."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from hybridbatch.foundation import fingerprint

LEASE_SECONDS = 60.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Owner:
    """A driver process.

    Attributes:
        machine: Fingerprint of machine and boot, so that the ledger names no machine.
        process: Its number.
        born: When it started; numbers of processes are used again.
    """

    machine: str
    process: int
    born: float

    @classmethod
    def this_process(cls) -> Owner:
        """Return the process that runs now."""
        process = psutil.Process()
        return cls(_this_machine(), process.pid, process.create_time())

    @classmethod
    def read(cls, text: str) -> Owner:
        """Return the owner that :meth:`text` wrote."""
        machine, process, born = text.split("/")
        return cls(machine, int(process), float(born))

    @property
    def text(self) -> str:
        """The owner as it stands in the ledger."""
        return f"{self.machine}/{self.process}/{self.born}"

    def is_surely_dead(self) -> bool:
        """Return True only when this process ran on this machine and runs no more."""
        if self.machine != _this_machine():
            return False
        try:
            process = psutil.Process(self.process)
            return bool(process.create_time() != self.born or process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True


def lease(owner: Owner) -> dict[str, Any]:
    """Return a fresh lease, as it stands in the ledger."""
    return {"owner": owner.text, "until": time.time() + LEASE_SECONDS}


def has_lapsed(entry: dict[str, Any] | None) -> bool:
    """Return whether nobody works under this lease any more."""
    if not entry:
        return True
    return bool(entry["until"] < time.time()) or Owner.read(entry["owner"]).is_surely_dead()


def _this_machine() -> str:
    boot = _BOOT.read_text() if _BOOT.exists() else ""
    return fingerprint.of_texts([socket.gethostname(), boot, os.uname().machine])
