"""What a trial may use, and where things are stored."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from hybridbatch.spec.settings import Settings, rejected

_HIDING_THE_END = re.compile(r"://[^@]*[\s'\"][^@]*@")

WorkerCount = Annotated[int, Field(ge=1, le=1024)]


class Retries(Settings):
    """How often a trial goes on after an interruption of each kind, under one driver; None is without end.

    One more ends the study with everything recorded, since the cluster needs somebody's eye; want of memory is the
    trial's own, so that it alone is failed. A driver that is killed or stopped never counts.

    Attributes:
        preempted: Machines that were taken away with notice.
        worker_lost: Workers, or the machines under them, that were lost without notice.
        out_of_memory: Workers killed because their machine ran out of memory.
    """

    preempted: Annotated[int, Field(ge=0)] | None = None
    worker_lost: Annotated[int, Field(ge=0)] | None = 10
    out_of_memory: Annotated[int, Field(ge=0)] | None = 1


class Resources(Settings):
    """What one trial uses.

    Attributes:
        workers: Ray Train workers of one trial; the global batch does not depend on it. ``[fewest, most]`` takes as
            many as there are, anew whenever machines go or come.
        cpus_per_worker: CPUs that Ray reserves for each worker.
        gpus_per_worker: GPUs that Ray reserves for each worker; a fraction shares one between trials.
        max_concurrent: Trials at a time; None: as many as the cluster's resources hold.
        trials_per_group: Trials that a warm worker group serves before it is replaced by a fresh one.
        retries: How often a trial goes on after an interruption of each kind.
    """

    workers: WorkerCount | tuple[WorkerCount, WorkerCount] = 1
    cpus_per_worker: Annotated[float, Field(gt=0)] = 1
    gpus_per_worker: Annotated[float, Field(ge=0)] = 0
    max_concurrent: Annotated[int, Field(ge=1)] | None = None
    trials_per_group: Annotated[int, Field(ge=1)] = 50
    retries: Retries = Retries()

    @model_validator(mode="after")
    def _fewest_before_most(self) -> Resources:
        if self.fewest_workers > self.most_workers:
            raise rejected("the fewest workers come first", at="workers", seen=[self.fewest_workers, self.most_workers])
        return self

    @property
    def fewest_workers(self) -> int:
        """The number of workers that a trial needs to start."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def most_workers(self) -> int:
        """The number of workers that a trial takes if they are there."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]


class Stores(Settings):
    """Where ledger, runs and copies are kept; None means embedded in the home folder.

    Attributes:
        ledger: URL of the Optuna storage, such as ``postgresql+psycopg://user:password@host/studies``, or
            ``journal:///folder/ledger.log``, a plain file of lines.
        tracking: URL of the MLflow store or server, such as ``http://host:5000``.
        archive: URL of a folder that finished trial folders are copied to: ``s3://bucket/path``, ``gs://…``, ``file:///…``.
    """

    ledger: str | None = None
    tracking: str | None = None
    archive: str | None = None

    @field_validator("ledger", "tracking", "archive")
    @classmethod
    def _password_known_for_one(cls, url: str | None) -> str | None:
        if url and _HIDING_THE_END.search(url):  # where it ends in a message could not be told
            seen, allowed = "a quote or a space", "%22, %27 or %20 in its place"
            raise rejected("the password of a URL holds a sign that no URL does", seen=seen, allowed=allowed)
        return url
