"""What a trial may use, and where things are stored."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybridbatch.spec.settings import Settings


class Resources(Settings):
    """What one trial uses.

    Attributes:
        workers: Ray Train workers of one trial; the global batch does not depend on it.
        cpus_per_worker: CPUs that Ray reserves for each worker.
        gpus_per_worker: GPUs that Ray reserves for each worker; a fraction shares one between trials.
        max_concurrent: Trials at a time; None: as many as the cluster's resources hold.
        trials_per_group: Trials that a warm worker group serves before it is replaced by a fresh one.
        restarts: How often a worker group that lost workers is started again, and after that how often a trial is given
            to another group, before the study stops.
    """

    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    cpus_per_worker: Annotated[float, Field(gt=0)] = 1
    gpus_per_worker: Annotated[float, Field(ge=0)] = 0
    max_concurrent: Annotated[int, Field(ge=1)] | None = None
    trials_per_group: Annotated[int, Field(ge=1)] = 50
    restarts: Annotated[int, Field(ge=0)] = 3


class Stores(Settings):
    """Where ledger, runs and copies are kept; None means embedded in the home folder.

    Attributes:
        ledger: URL of the Optuna storage, such as ``postgresql+psycopg://user:password@host/studies``.
        tracking: URL of the MLflow store or server, such as ``http://host:5000``.
        archive: URL of a folder that finished trial folders are copied to: ``s3://bucket/path``, ``gs://…``, ``file:///…``.
    """

    ledger: str | None = None
    tracking: str | None = None
    archive: str | None = None
