"""Jobs of a cluster through Ray's Jobs API: what this platform submits to a cluster, finds there, follows and stops.

A job runs ``hybridbatch run`` on the cluster. Which study it belongs to stands in its metadata; its name follows from
the study, its home folder and how often it was submitted before, so that of two who submit at once one is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from hybridbatch import __version__
from hybridbatch.cluster.inventory import STEADY
from hybridbatch.cluster.tokens import TOKEN_PLACES, token_for
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import HybridBatchError, StoreError, UserError, first_line, one_of

_TIMEOUT = (10.0, 300.0)  # seconds to connect, to answer: the head of a busy cluster may be slow
_STOP_SECONDS = 300  # for a driver to give back its trials and write what is finished; Ray's own 3 are not enough
_DRIVER_SHARE = 0.99  # of the resource: drivers that take all of it would leave none for what they start
_OVERRIDES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_ENDED = {"STOPPED", "SUCCEEDED", "FAILED"}
_ALLOWED = "the address of a cluster's dashboard, such as http://127.0.0.1:8265"


@dataclass(frozen=True)
class Job:
    """A job of this platform on a cluster.

    Attributes:
        name: Its name on the cluster (Ray's submission id).
        study: The study that it runs.
        home: Home folder of the study, as the cluster sees it.
        state: ``pending``, ``running``, ``stopped``, ``succeeded`` or ``failed``.
        started: When it was submitted, in seconds since 1970; None where the cluster does not say.
        ended: When it ended, likewise.
        message: What the cluster says of its state.
        exit_code: Exit code of the driver once it has ended by itself.
    """

    name: str
    study: str
    home: str
    state: str
    started: float | None
    ended: float | None
    message: str
    exit_code: int | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state.upper() in _ENDED


@dataclass(frozen=True)
class Address:
    """Address of a cluster's dashboard, which answers the Jobs API.

    Attributes:
        url: ``http://host:port``.
        host: The host alone.
    """

    url: str
    host: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that a user wrote.

        Raises:
            UserError: If it cannot be one.
        """
        whole = text if "://" in text else f"http://{text}"
        try:
            parts = urlsplit(whole)
            host, _ = parts.hostname, parts.port
        except ValueError:
            parts, host = None, None
        if parts is None or not host or parts.scheme not in ("http", "https") or parts.path.strip("/") or parts.query:
            raise UserError(
                "not the address of a cluster's dashboard",
                path="--address",
                seen=text,
                allowed=_ALLOWED,
                remedy="jobs are submitted through the dashboard of the head, by default at port 8265",
            )
        return cls(whole.rstrip("/"), host)


class _Client(JobSubmissionClient):  # type: ignore[misc]
    """Ray's client, with a limit on time, and with the token that it is given or none."""

    def __init__(self, url: str, token: str | None) -> None:
        self._shown = {"Authorization": f"Bearer {token}"} if token else {}
        with _unset(*_OVERRIDES):
            super().__init__(url)

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        self._headers = dict(self._shown)  # not what Ray itself may have found for a cluster on this machine
        return super()._do_request(method, endpoint, **{"timeout": _TIMEOUT, **options})


class ClusterJobs:
    """The jobs of one cluster.

    Args:
        address: Where its dashboard is.
        no_token: Show no token, also to a cluster beyond this machine.

    Raises:
        UserError: If there is no token where one is needed, or the cluster refuses it.
        StoreError: If no cluster answers there.
    """

    def __init__(self, address: Address, *, no_token: bool = False) -> None:
        self.address = address
        token = token_for(address.host, no_token=no_token)
        with self._readable():
            self._client = _Client(address.url, token)

    def all(self) -> list[Job]:
        """Return the jobs of this platform, the newest first."""
        with self._readable():
            found = [_job(details) for details in self._client.list_jobs() if _is_ours(details)]
        return sorted(found, key=lambda job: job.started or 0, reverse=True)

    def find(self, name: str) -> Job:
        """Return the job ``name``, or the newest one of the study ``name``.

        Raises:
            UserError: If there is none.
        """
        jobs = self.all()
        for job in jobs:
            if name in (job.name, job.study):
                return job
        raise UserError(
            "no such job on this cluster",
            path="JOB",
            seen=name,
            allowed=one_of({job.name for job in jobs} | {job.study for job in jobs})
            or "there is no job of hybridbatch",
            remedy=f"`hybridbatch status --address {self.address.url}` lists them; a head that was started anew knows "
            "none of those before",
        )

    def submit(self, study: str, home: str, entrypoint: str, working_dir: Path, *, no_token: bool = False) -> Job:
        """Submit a job that runs a study; return it.

        Args:
            study: Name of the study.
            home: Its home folder as the cluster sees it.
            entrypoint: The command.
            working_dir: Folder to upload, in which the command runs.
            no_token: The cluster is one without authentication, which the driver is to take as said.

        Raises:
            UserError: If a job of the study is not over.
        """
        before = [job for job in self.all() if (job.study, job.home) == (study, home)]
        if (active := next((job for job in before if not job.is_over), None)) is not None:
            raise self._twice(study, active.name, active.state)
        stem = f"hybridbatch-{study}-{fingerprint.of_json([study, home])[:8]}"
        numbers = [job.name.rpartition("-")[2] for job in before]
        count = 1 + max([0, *(int(number) for number in numbers if number.isdecimal())])
        name = f"{stem}-{count}"
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS)}
        if no_token:
            variables["RAY_AUTH_MODE"] = "disabled"
        with self._readable():
            try:
                self._client.submit_job(
                    entrypoint=entrypoint,
                    submission_id=name,
                    runtime_env={"working_dir": str(working_dir), "env_vars": variables},
                    metadata={"hybridbatch": __version__, "study": study, "home": home},
                    entrypoint_resources={STEADY: _DRIVER_SHARE} if self.has_resource(STEADY) else None,
                )
            except RuntimeError as error:
                if "already exists" in str(error):  # somebody else was faster by a moment
                    raise self._twice(study, name, "submitted a moment ago") from error
                raise
            return _job(self._client.get_job_info(name))

    def has_resource(self, name: str) -> bool:
        """Return whether a node of the cluster has the custom resource ``name``."""
        with self._readable():
            answer = self._client._do_request("GET", "/api/v0/nodes?detail=true&limit=10000")
            answer.raise_for_status()
            nodes = answer.json()["data"]["result"]["result"]
        return any(node["state"] == "ALIVE" and node["resources_total"].get(name, 0) >= 1 for node in nodes)

    def look(self, name: str) -> Job:
        """Return the job ``name`` as it is now."""
        with self._readable():
            return _job(self._client.get_job_info(name))

    def stop(self, name: str) -> None:
        """Ask a job to end: it gives back its trials and writes what is finished."""
        with self._readable():
            self._client.stop_job(name)

    async def lines(self, name: str) -> AsyncIterator[str]:
        """Yield what a job has printed, from the beginning, and what it prints until it ends or the line breaks."""
        async for text in self._client.tail_job_logs(name):
            yield text

    def _twice(self, study: str, name: str, state: str) -> UserError:
        at = f"--address {self.address.url}"
        return UserError(
            "this study has a job on this cluster that is not over",
            file=self.address.url,
            path=study,
            seen=f"{name}: {state}",
            allowed="one job of a study at a time",
            remedy=f"`hybridbatch follow {name} {at}` shows it, `hybridbatch stop {name} {at}` ends it",
        )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn what goes wrong between here and the cluster into an error that says what to do."""
        try:
            yield
        except HybridBatchError:
            raise
        except AuthenticationError as error:
            missing = "required" in first_line(error).lower()
            raise UserError(
                "the cluster asks for a token" if missing else "the cluster refuses this token",
                file=self.address.url,
                seen=first_line(error),
                allowed="the token that the cluster was started with",
                remedy=f"put it into {TOKEN_PLACES}",
            ) from error
        except (ConnectionError, requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            raise StoreError(
                "no Ray cluster answers here",
                file=self.address.url,
                seen=first_line(error),
                allowed=_ALLOWED,
                remedy="check that the head runs with its dashboard (`ray start --head`, with ray[default] installed) "
                "and that this machine reaches it, through a tunnel if need be",
            ) from error
        except (requests.exceptions.RequestException, json.JSONDecodeError, KeyError, RuntimeError) as error:
            raise StoreError(
                "what answers here is not Ray's Jobs API, or could not do what it was asked",
                file=self.address.url,
                seen=first_line(error),
                allowed=_ALLOWED,
                remedy="check host and port; the head's other ports (6379, 10001) do not take jobs",
            ) from error


def _is_ours(details: Any) -> bool:
    return bool(details.submission_id and "hybridbatch" in (details.metadata or {}))


def _job(details: Any) -> Job:
    metadata = details.metadata or {}
    return Job(
        name=details.submission_id,
        study=metadata["study"],
        home=metadata["home"],
        state=str(details.status).lower(),
        started=details.start_time / 1000 if details.start_time else None,
        ended=details.end_time / 1000 if details.end_time else None,
        message=details.message or "",
        exit_code=details.driver_exit_code,
    )


@contextmanager
def _unset(*names: str) -> Iterator[None]:
    """Take variables out of the environment: Ray's client prefers them to the address that it is given."""
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
