"""The world of a chaos test: a cluster, a PostgreSQL and an MLflow server, a small disk, and a study on them.

One driver at a time works on the study. Whenever it has ended before the study has, it is started again with
`hybridbatch resume`, as a person or a supervisor would do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
from tests.chaos.local_cluster import IN_CLUSTER, LocalCluster
from tests.postgresql_server import PostgreSQLServer
from tests.servers import Server, mlflow_command
from tests.small_study import write_data, write_file

from hybridbatch.spec.folders import HomeFolder
from hybridbatch.tracking.store import TrackingStore
from hybridbatch.training.progress import read_progress

RUNGS = 12  # evaluations of a trial; a checkpoint is written at each
DISK = 64  # megabytes
_TORN_DOWN = 120.0  # seconds for a driver that was asked to stop


def changes(trials: int, steps: int) -> dict[str, Any]:
    """Return the experiment of a chaos test as changes to the small study: no pruner, so that all are to complete."""
    return {
        "training.steps": steps,
        "training.evaluate_every": steps // RUNGS,
        "search.baselines": {},
        "search.trials": trials,
        "resources": {"workers": 1, "retries": {"worker_lost": None}},  # the storm is longer than a person's patience
    }


class World:
    """Everything that a chaos test may break.

    Args:
        folder: A new folder for all of it.
        small_disk: The disk that the home folder lies on.
        trials: Planned trials.
        steps: Steps of each.
        quiet: Folder for the same study undisturbed; several storms may share it, one after another.
    """

    # Titles of the processes of each kind of actor.
    actors: ClassVar[dict[str, tuple[str, ...]]] = {
        "worker": ("ray::RayTrainWorker",),
        "trainable": ("ray::WarmTrial", "ray::ResourceTrainable"),
        "controller": ("ray::TrainController",),
    }

    def __init__(self, folder: Path, small_disk: Path, trials: int, steps: int, quiet: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.quiet = quiet or folder / "quiet"
        self.folder, self.disk, self.trials, self.steps = folder, small_disk, trials, steps
        self.cluster = LocalCluster(folder / "cluster")
        self.postgresql = PostgreSQLServer()
        self.mlflow = Server(
            mlflow_command(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts"), folder / "mlflow", "/health"
        )
        self.home = HomeFolder(small_disk / "home")
        self.data = write_data(folder / "data")
        self.drivers: list[str] = []  # how each driver ended
        self._driver: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the servers and the cluster."""
        self.postgresql.start()
        self.mlflow.start()
        self.cluster.start()
        stores = {"ledger": self.postgresql.new_database(), "tracking": self.mlflow.url}
        self.stores = stores
        self.file = write_file(self.folder, {**changes(self.trials, self.steps), "stores": stores})

    def stop(self) -> None:
        """End everything."""
        if self._driver is not None:
            kill_tree(self._driver.pid)
            self._driver.wait(30)
        self.cluster.stop()
        self.mlflow.kill()
        self.postgresql.remove()

    @property
    def ledger_url(self) -> str:
        """The URL of the ledger."""
        return self.stores["ledger"]

    def tracking(self) -> TrackingStore:
        """Return the MLflow store."""
        return TrackingStore(self.stores["tracking"])

    @property
    def driver(self) -> subprocess.Popen[bytes]:
        """The driver at work; one is started where none is."""
        if self._driver is None:
            self._driver = self._start_driver()
        return self._driver

    def driver_command(self) -> list[str]:
        """Return the command of the next driver."""
        begun = self.home.study("small").experiment.exists()
        arguments = ["resume", "small"] if begun else ["run", str(self.file)]
        options = ["--home", str(self.home.path), "--address", self.cluster.address]
        return [sys.executable, "-c", "from hybridbatch.cli import main; main()", *arguments, *options]

    def _start_driver(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **IN_CLUSTER, "HYBRIDBATCH_DATA": str(self.data), "COLUMNS": "200"}
        environment.update(MLFLOW_HTTP_REQUEST_MAX_RETRIES="2", MLFLOW_HTTP_REQUEST_TIMEOUT="30")
        with (self.folder / "driver.log").open("ab") as output:
            return subprocess.Popen(
                self.driver_command(), env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def kill_driver(self) -> None:
        """Kill the driver without notice."""
        kill_tree(self.driver.pid)
        self._note_end()

    def stop_driver(self) -> None:
        """Ask the driver to stop, as Ctrl-C does, and wait for it."""
        self.driver.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.driver.wait(_TORN_DOWN)
        if self.driver.poll() is None:
            raise AssertionError(f"the driver did not stop within {_TORN_DOWN:.0f} s of Ctrl-C")
        self._note_end()

    def _note_end(self) -> int:
        code = self.driver.wait(30)
        self.drivers.append(str(code))
        self._driver = None
        return code

    def progress(self) -> float:
        """Return the share of the planned steps that were done."""
        done = 0
        for folder in self.home.study("small").trials():
            if (folder.path / "result.json").exists():
                done += self.steps
            elif (now := read_progress(folder.progress)) is not None and now.phase != "adapting":
                done += now.step
        return done / (self.steps * self.trials)

    def run_until(self, reached: Callable[[], bool], patience: float) -> None:
        """Keep a driver at work until ``reached``.

        Raises:
            AssertionError: If the study ended before, nothing moved for ``patience`` seconds, or drivers end again and
                again with nothing done between.
        """
        for _ in self._moving(patience):
            if reached():
                return
            if self.driver.poll() is not None and self._note_end() == 0:
                if reached():
                    return
                raise AssertionError("the study ended too early")

    def run_to_the_end(self, patience: float) -> None:
        """Keep a driver at work until one ends with everything done."""
        for _ in self._moving(patience):
            if self.driver.poll() is not None and self._note_end() == 0:
                return

    def _moving(self, patience: float) -> Iterator[None]:
        """Yield again and again while the study moves."""
        furthest, since = self.progress(), time.monotonic()
        while True:
            yield
            now = self.progress()
            if now > furthest:
                furthest, since = now, time.monotonic()
            log = (self.folder / "driver.log").read_text(encoding="utf-8", errors="replace")[-4000:]
            assert time.monotonic() - since < patience, f"nothing moved for {patience:.0f} s; the driver said:\n{log}"
            time.sleep(0.2)

    def quiet_home(self) -> HomeFolder:
        """Run the same study undisturbed, in a process of its own with one thread as Ray's workers have; its home.

        What is there already is not run again.
        """
        home = HomeFolder(self.quiet / "home")
        self.quiet.mkdir(exist_ok=True)
        file = write_file(self.quiet, changes(self.trials, self.steps))
        command = [sys.executable, "-c", "from hybridbatch.cli import main; main()", "run", str(file), "--local"]
        environment = {**os.environ, "HYBRIDBATCH_DATA": str(self.data), "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "--home", str(home.path)], env=environment, check=True, capture_output=True)
        return home


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        killed = [first, *first.children(recursive=True)]
        for process in killed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(killed, timeout=30)
