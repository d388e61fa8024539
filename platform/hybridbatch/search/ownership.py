"""Who works on a trial: a process that can be told to be dead, and a lease for when that cannot be told."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from hybridbatch.foundation import fingerprint

LEASE = "lease"  # name of the user attribute of a trial that holds one
LEASE_SECONDS = 60.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")
_PROCESSES = Path("/proc")
_START_TICKS = 19  # of /proc/PID/stat, counted after the name


@dataclass(frozen=True)
class Owner:
    """A driver process.

    Attributes:
        machine: Fingerprint of machine, boot and PID namespace (of a container), so that the ledger names no machine.
        process: Its number.
        born: When it started; numbers of processes are used again.
    """

    machine: str
    process: int
    born: float

    @classmethod
    def this_process(cls) -> Owner:
        """Return the process that runs now."""
        number = os.getpid()
        return cls(_this_machine(), number, _born(number))

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
            status = psutil.Process(self.process).status()
            return bool(status == psutil.STATUS_ZOMBIE or _born(self.process) != self.born)
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            return True


def lease(owner: Owner) -> dict[str, Any]:
    """Return a fresh lease, as it stands in the ledger."""
    return {"owner": owner.text, "until": time.time() + LEASE_SECONDS}


def last_renewal(entry: dict[str, Any] | None) -> datetime | None:
    """Return when a lease was last renewed, None when there is none: its owner was alive then."""
    return datetime.fromtimestamp(entry["until"] - LEASE_SECONDS, UTC) if entry else None


def has_lapsed(entry: dict[str, Any] | None, grace: float = 0.0) -> bool:
    """Return whether nobody works under this lease any more.

    Args:
        entry: The lease; None: there is none.
        grace: For how many seconds after its end it is honoured, unless its owner is known to be dead.
    """
    if not entry:
        return True
    return bool(entry["until"] + grace < time.time()) or Owner.read(entry["owner"]).is_surely_dead()


def _born(process: int) -> float:
    """Return when a process started: ticks since boot where the system tells them, since no clock moves those."""
    if (_PROCESSES / "self" / "stat").exists():
        after_name = (_PROCESSES / str(process) / "stat").read_text().rpartition(")")[2].split()
        return float(after_name[_START_TICKS])
    return psutil.Process(process).create_time()


def _this_machine() -> str:
    boot = _BOOT.read_text() if _BOOT.exists() else ""
    numbers = str(_PID_NAMESPACE.stat().st_ino) if _PID_NAMESPACE.exists() else ""
    return fingerprint.of_texts([socket.gethostname(), boot, numbers, os.uname().machine])
