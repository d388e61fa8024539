"""Studies as jobs of a cluster, from the terminal: submitting, following, stopping."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import aiohttp
from rich.console import Console

from hybridbatch.cluster.jobs import Address, ClusterJobs, Job
from hybridbatch.cluster.tokens import is_loopback
from hybridbatch.foundation.errors import StoreError, UserError
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.progress_bars import working
from hybridbatch.terminal.stopping import stopping_cleanly

INTERRUPTED = 130
_AGAIN_SECONDS = 5.0  # before a broken line is tried again
_PATIENCE = 60  # times in a row, without a word from the cluster
_NOT_FOUND = 127  # what a shell says of a program that is not there


@dataclass(frozen=True)
class Submission:
    """What is to be submitted.

    Attributes:
        experiment: The experiment, checked.
        file: Its file, here.
        home: Home folder as the cluster sees it; None: that of this machine, where the cluster is on it.
        data: Folder of the data as the cluster sees it; None: the one in the home folder.
        trials: Searched trials, in place of ``search.trials``.
        verbose: Leave the chatter of libraries in the log of the job.
    """

    experiment: Experiment
    file: Path
    home: Path | None
    data: Path | None
    trials: int | None
    verbose: bool


def submit_study(asked: Submission, address: str, console: Console, *, detach: bool, no_token: bool) -> int:
    """Submit the study of an experiment file to a cluster and follow it; return the exit code.

    Raises:
        UserError: If the address, a folder or a store cannot be used, or the study runs there already.
        StoreError: If no cluster answers at the address.
    """
    experiment, where = asked.experiment, Address.parse(address)
    home = _home_there(asked.home, where)
    data = None if asked.data is None else _absolute(asked.data, "--data", where)
    _check_stores(asked, where)
    jobs = ClusterJobs(where, no_token=no_token)
    command = ["hybridbatch", "run", asked.file.name, "--home", home, *(["--data", data] if data else [])]
    command += ["--trials", str(asked.trials)] if asked.trials is not None else []
    command += ["--verbose"] if asked.verbose else []
    with tempfile.TemporaryDirectory(prefix="hybridbatch-submit-") as folder:
        shutil.copyfile(asked.file, Path(folder) / asked.file.name)
        job = jobs.submit(experiment.name, home, shlex.join(command), Path(folder), no_token=no_token)
    _print(console, f"submitted: {job.name}")
    for line in _what_the_cluster_needs(experiment, home, data):
        _print(console, f"  {line}", style="dim")
    if detach:
        _print(console, f"follow it with: {_command('follow', job, where, no_token)}")
        return 0
    return _follow(jobs, job, console, no_token)


def follow_job(name: str, address: str, console: Console, *, no_token: bool) -> int:
    """Print what a job prints until it ends; return its exit code."""
    jobs = ClusterJobs(Address.parse(address), no_token=no_token)
    return _follow(jobs, jobs.find(name), console, no_token)


def stop_job(name: str, address: str, console: Console, *, no_token: bool) -> int:
    """Stop a job and wait until it has given back its trials; return the exit code."""
    jobs = ClusterJobs(Address.parse(address), no_token=no_token)
    job = jobs.find(name)
    if job.is_over:
        _print(console, f"{job.name} is over already: {job.state}")
        return 0
    jobs.stop(job.name)
    with stopping_cleanly(), working(console, "trials are given back, what is finished is written"):
        while not (job := jobs.look(job.name)).is_over:
            time.sleep(1)
    _print(console, f"{job.name}: {job.state}")
    return 0


def _home_there(option: Path | None, where: Address) -> str:
    if option is None and is_loopback(where.host):
        return str(HomeFolder.choose(None).path.absolute())
    if option is None:
        raise UserError(
            "on this cluster the home folder has to be named",
            path="--home",
            allowed="a folder as the cluster sees it, on storage that all its nodes share and may write",
            remedy="trial folders, checkpoints, the cache, and without `stores` the ledger lie there: docs/clusters.md",
        )
    return _absolute(option, "--home", where)


def _absolute(path: Path, option: str, where: Address) -> str:
    """Return a path on the cluster: one from here means the same only where the cluster is this machine."""
    if is_loopback(where.host):
        return str(path.expanduser().absolute())
    if not PurePosixPath(path).is_absolute():
        raise UserError(
            "a path on the cluster must be absolute",
            path=option,
            seen=str(path),
            allowed="a folder as every node of the cluster sees it, such as /shared/hybridbatch",
        )
    return str(path)


def _check_stores(asked: Submission, where: Address) -> None:
    """Refuse stores that a cluster elsewhere cannot reach."""
    if is_loopback(where.host):
        return
    for name, url in asked.experiment.stores:
        host = urlsplit(url).hostname if isinstance(url, str) else None
        if host and is_loopback(host):
            raise UserError(
                "this store is on the machine that you are at, where the cluster cannot reach it",
                file=asked.file,
                path=f"stores.{name}",
                seen=hide_passwords(url),
                allowed="an address that means the same on every node of the cluster",
            )


def _what_the_cluster_needs(experiment: Experiment, home: str, data: str | None) -> list[str]:
    """Return, a line each, what has to be there on the cluster: it cannot be looked at from here."""
    lines = [f"home:  {home} (all nodes read and write it: shared storage where there are several)"]
    lines.append(f"data:  {data or f'{home}/data, or where the study was run with'} (all nodes read it)")
    stores = {name: url for name, url in experiment.stores if url}
    lines += [f"store: {name} {hide_passwords(url)}" for name, url in stores.items()]
    if "ledger" not in stores:
        lines.append("store: ledger in the home folder (SQLite: one driver at a time)")
    return lines


def _follow(jobs: ClusterJobs, job: Job, console: Console, no_token: bool) -> int:
    if job.state == "pending":
        _print(console, job.message, style="dim")
    try:
        with stopping_cleanly():
            asyncio.run(_show(jobs, job))
    except KeyboardInterrupt:
        again = _command("follow", job, jobs.address, no_token)
        end = _command("stop", job, jobs.address, no_token)
        _print(console, f"\n{job.name} goes on without you. Follow it: {again}  ·  stop it: {end}", style="yellow")
        return INTERRUPTED
    job = jobs.look(job.name)
    _print(console, f"{job.name}: {job.state}")
    if job.state == "failed":
        return _failed(job, console)
    return INTERRUPTED if job.state == "stopped" else 0


def _failed(job: Job, console: Console) -> int:
    if job.exit_code is None:  # the driver never ran: the log says nothing of it
        _print(console, job.message.strip(), style="red")
    elif job.exit_code == _NOT_FOUND:
        _print(
            console,
            "the cluster does not find `hybridbatch`: install it on every node, and have its environment active (first "
            "on the PATH) where `ray start` runs",
            style="red",
        )
    return job.exit_code or 1


@dataclass
class _Printed:
    """What has been printed of a job's log."""

    characters: int = 0

    async def go_on(self, jobs: ClusterJobs, job: Job) -> None:
        """Print what follows; a new line to the cluster begins with the first character again."""
        passed = 0
        async for text in jobs.lines(job.name):
            sys.stdout.write(text[max(0, self.characters - passed) :])
            sys.stdout.flush()
            passed += len(text)
            self.characters = max(self.characters, passed)


async def _show(jobs: ClusterJobs, job: Job) -> None:
    """Print what a job prints until it ends, also when the line to the cluster breaks in between."""
    printed, failures = _Printed(), 0
    while True:
        with contextlib.suppress(RuntimeError, OSError, aiohttp.ClientError):  # what counts is the job, asked next
            await printed.go_on(jobs, job)
        try:
            if jobs.look(job.name).is_over:
                return
            failures = 0
        except StoreError as error:
            failures += 1
            if failures > _PATIENCE:
                raise StoreError(
                    "the cluster does not answer any more; the job may well go on",
                    file=jobs.address.url,
                    seen=error.seen,
                    remedy="find out with `hybridbatch status --address`",
                ) from error
        await asyncio.sleep(_AGAIN_SECONDS if failures else 1)


def _command(verb: str, job: Job, where: Address, no_token: bool) -> str:
    words = ["hybridbatch", verb, job.name, "--address", where.url, *(["--no-token"] if no_token else [])]
    return hide_passwords(shlex.join(words))


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, soft_wrap=True)
