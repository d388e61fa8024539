"""Drivers in processes of their own, which tests kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

_STARTED: list[subprocess.Popen[str]] = []
PATIENCE = 180.0  # seconds; on a calm machine a fraction of it is needed


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from hybridbatch.cli import main; main()", *arguments]


def start(arguments: list[str], data: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "HYBRIDBATCH_DATA": str(data), "COLUMNS": "200"}
    environment.pop("RAY_ADDRESS", None)
    driver = subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a process group of its own, which can be killed whole
    )
    _STARTED.append(driver)
    return driver


@pytest.fixture
def no_driver_left() -> Iterator[None]:
    """No driver outlives its test."""
    yield
    while _STARTED:
        driver = _STARTED.pop()
        if driver.poll() is None:
            kill_whole(driver)


def wait_until(happened: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert driver.poll() is None, f"the driver ended too early: {driver.communicate()[0]}"
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


def kill_whole(driver: subprocess.Popen[str]) -> None:
    """Kill the driver and all it started, at once; Ray's processes leave the group, so the tree is taken as well."""
    started = psutil.Process(driver.pid).children(recursive=True)
    os.killpg(driver.pid, signal.SIGKILL)
    for process in started:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(started, timeout=30)
    driver.communicate()
