"""A real PostgreSQL server for the tests that need one, made from the installed programs and thrown away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers import free_port


def program(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs, which Debian keeps off the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(places[-1]) if places else None)


class PostgreSQLServer:
    """A server with a folder and a port of its own, started and stopped as often as a test likes.

    Attributes:
        url: Its URL, without a database.
    """

    def __init__(self) -> None:
        make, serve = program("initdb"), program("postgres")
        if make is None or serve is None:
            pytest.skip("PostgreSQL is not installed")
        self._user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        # Not pytest's folder: that belongs to root alone. Short, since the path of a socket may have 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        if self._user:
            shutil.chown(self.folder, self._user)
        data, self.port = str(self.folder / "data"), free_port()
        self.url = f"postgresql+psycopg://tester@127.0.0.1:{self.port}"
        made = [make, "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(made, user=self._user, check=True, capture_output=True, cwd=self.folder)
        self._command = [serve, "-D", data, "-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1", "-F"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        import psycopg

        log = self.folder / "log"
        with log.open("a", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                self._command, user=self._user, stdout=output, stderr=output, cwd=self.folder
            )
        for _ in range(600):
            assert self._process.poll() is None, log.read_text(encoding="utf-8")
            try:
                psycopg.connect(f"{self.url.replace('+psycopg', '')}/postgres").close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(log.read_text(encoding="utf-8"))

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT is a fast shutdown that waits for no client, SIGQUIT one without cleaning up."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def new_database(self) -> str:
        """Return the URL of an empty database of one's own."""
        import psycopg

        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(f"{self.url.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{self.url}/{name}"

    def remove(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server for all tests that leave it running."""
    server = PostgreSQLServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQLServer) -> str:
    """The URL of an empty database of one's own."""
    return postgresql_server.new_database()
