"""Which studies run on a cluster, and which have."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console

from hybridbatch.cluster.jobs import Address, ClusterJobs
from hybridbatch.terminal.consoles import headline


def job_states(address: str, study: str | None, *, no_token: bool) -> list[dict[str, Any]]:
    """Return the jobs of this platform on a cluster, the newest first; those of one study where one is named.

    Keys of each: ``job``, ``study``, ``home``, ``state`` (``pending``, ``running``, ``stopped``, ``succeeded``,
    ``failed``), ``started`` and ``ended`` (seconds since 1970, or null), ``exit_code``.
    """
    return [
        {
            "job": job.name,
            "study": job.study,
            "home": job.home,
            "state": job.state,
            "started": job.started,
            "ended": job.ended,
            "exit_code": job.exit_code,
        }
        for job in ClusterJobs(Address.parse(address), no_token=no_token).all()
        if study in (None, job.study)
    ]


def print_jobs(jobs: list[dict[str, Any]], address: str, console: Console) -> None:
    """Print what :func:`job_states` returns."""
    for job in jobs:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(job["started"])) if job["started"] else "unknown"
        code = f" (exit code {job['exit_code']})" if job["exit_code"] else ""
        console.print(headline(job["study"], f"{job['state']}{code}  ·  submitted {since}  ·  {job['home']}"))
        console.print(f"  {job['job']}", soft_wrap=True)
    if not jobs:
        console.print(f"no job of hybridbatch on {address}", soft_wrap=True)
