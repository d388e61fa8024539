"""A real PostgreSQL server for the tests that need one, made from the installed programs and thrown away."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest


def program(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs, which Debian keeps off the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(places[-1]) if places else None)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server, without a database."""
    make, serve = program("initdb"), program("postgres")
    if make is None or serve is None:
        pytest.skip("PostgreSQL is not installed")
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    # Not pytest's folder: that belongs to root alone. Short, since the path of a socket may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if user:
        shutil.chown(folder, user)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = [make, "-D", str(folder / "data"), "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(made, user=user, check=True, capture_output=True, cwd=folder)
    options = ["-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1", "-F"]
    with (folder / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen([serve, *options], user=user, stdout=log, stderr=log, cwd=folder)
    try:
        url = f"postgresql+psycopg://tester@127.0.0.1:{port}"
        wait_for(url, server, folder / "log")
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown, which waits for no client
        server.wait(30)
        shutil.rmtree(folder)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers."""
    import time

    import psycopg

    for _ in range(300):
        assert server.poll() is None, log.read_text(encoding="utf-8")
        try:
            psycopg.connect(f"{url.replace('+psycopg', '')}/postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text(encoding="utf-8"))


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """The URL of an empty database of one's own."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"{postgresql_server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgresql_server}/{name}"
