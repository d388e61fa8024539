"""Stores that several machines share, from one folder: PostgreSQL and an MLflow server on it, until Ctrl-C.

FOLDER/password  postgresql/  artifacts/  logs/postgresql.log  logs/mlflow.log
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import StoreError, UserError, first_line
from hybridbatch.terminal.progress_bars import working
from hybridbatch.terminal.stopping import stopping_cleanly

ROLE = "hybridbatch"
_GLANCE = 0.3  # seconds between two looks
_MLFLOW_GRACE, _POSTGRESQL_GRACE = 10.0, 60.0  # seconds to end by themselves
_DATABASES = ("ledger", "mlflow")
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes for evaluations that nobody here asks for
}
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class StoreFolder:
    """A folder of stores and where they are served.

    Attributes:
        path: The folder.
        host: Address that is listened at.
        postgresql_port: Port of PostgreSQL.
        mlflow_port: Port of MLflow's server.
    """

    path: Path
    host: str
    postgresql_port: int
    mlflow_port: int

    @property
    def data(self) -> Path:
        """Folder of PostgreSQL's own files."""
        return self.path / "postgresql"

    @property
    def artifacts(self) -> Path:
        """Folder of what MLflow keeps of runs and models."""
        return self.path / "artifacts"

    @property
    def password(self) -> str:
        """The password of PostgreSQL's role, made with the folder."""
        return (self.path / "password").read_text(encoding="utf-8").strip()

    @property
    def name(self) -> str:
        """What other machines call this one."""
        return socket.gethostname() if self.host == "0.0.0.0" else self.host  # noqa: S104 -- asked for by the user

    def url(self, database: str, host: str | None = None) -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://{ROLE}:{self.password}@{host or self.name}:{self.postgresql_port}/{database}"

    def log(self, server: str) -> Path:
        """Return the log of a server."""
        return self.path / "logs" / f"{server}.log"


def serve_stores(folder: StoreFolder, console: Console) -> int:
    """Serve the stores of a folder, made where they are not there, until Ctrl-C; return the exit code.

    Raises:
        UserError: If PostgreSQL is not installed, a port is taken, or a server ends by itself.
    """
    initdb, postgres = _program("initdb"), _program("postgres")
    _check_ports(folder)
    (folder.path / "logs").mkdir(parents=True, exist_ok=True)
    folder.artifacts.mkdir(exist_ok=True)
    owner = _owner()
    with stopping_cleanly():
        try:
            with working(console, "making the database"):
                _make(folder, initdb, owner)
            with contextlib.ExitStack() as servers:
                with working(console, "starting PostgreSQL and MLflow"):
                    database = servers.enter_context(_postgresql(folder, postgres, owner))
                    _wait_for_postgresql(folder, database)
                    pages = servers.enter_context(_mlflow(folder))
                    _wait_for_mlflow(folder, pages)
                _tell(folder, console)
                while True:
                    _check(folder, "postgresql", database)
                    _check(folder, "mlflow", pages)
                    time.sleep(_GLANCE)
        except KeyboardInterrupt:
            console.print("stopped; started again, everything is there")
            return 0


def _tell(folder: StoreFolder, console: Console) -> None:
    console.print("for the experiment file:\n", style="dim")
    console.print("stores:", soft_wrap=True)
    console.print(f"  ledger: {folder.url('ledger')}", soft_wrap=True)
    console.print(f"  tracking: http://{folder.name}:{folder.mlflow_port}\n", soft_wrap=True)
    if folder.host != _LOOPBACK:
        console.print(
            "whoever reaches MLflow's port reads and writes there: keep it inside your network", style="yellow"
        )
    console.print(f"everything is in {folder.path}  ·  Ctrl-C stops both", style="dim", soft_wrap=True)


def _program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, which Debian keeps off the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        raise UserError(
            "PostgreSQL is not installed here",
            seen=f"no {name} on the PATH or in /usr/lib/postgresql",
            remedy="install it (`apt-get install postgresql`), or use a server elsewhere: stores.ledger takes its URL",
        )
    return found


def _owner() -> pwd.struct_passwd | None:
    """Return the user that PostgreSQL is run as: it refuses to run as root. None: this one."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise UserError("PostgreSQL refuses to run as root", remedy="start this as another user")


def _as(owner: pwd.struct_passwd | None) -> dict[str, object]:
    return {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _check_ports(folder: StoreFolder) -> None:
    ports = {"--postgresql-port": folder.postgresql_port, "--mlflow-port": folder.mlflow_port}
    for option, port in ports.items():
        try:
            socket.create_server((folder.host, port)).close()
        except OSError as error:
            raise UserError(
                "nothing can be served here",
                path=option,
                seen=f"{folder.host}:{port}: {error.strerror}",
                allowed="an address of this machine and a port that nobody listens at",
                remedy="choose others with --host, --postgresql-port and --mlflow-port",
            ) from error


def _make(folder: StoreFolder, initdb: str, owner: pwd.struct_passwd | None) -> None:
    """Make the database unless it is there; it has its name only when it is whole."""
    if folder.data.exists():
        return
    password = secrets.token_urlsafe(24)
    draft = folder.path / "postgresql.making"
    shutil.rmtree(draft, ignore_errors=True)  # of one who was killed
    draft.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as told:  # readable by its owner alone
        told.write(password)
        told.flush()
        if owner is not None:
            os.chown(told.name, owner.pw_uid, owner.pw_gid)
            os.chown(draft, owner.pw_uid, owner.pw_gid)
        command = [initdb, "-D", str(draft), "-U", ROLE, "-A", "scram-sha-256", f"--pwfile={told.name}"]
        command += ["-E", "UTF8", "--no-locale", "--data-checksums"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **_as(owner))  # type: ignore[call-overload]
    if done.returncode != 0:
        raise StoreError(
            "the database cannot be made",
            file=folder.data,
            seen=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}",
            remedy="see that the folder can be entered and written"
            + (f" by the user {owner.pw_name}, who runs PostgreSQL in place of root" if owner else ""),
        )
    with open(draft / "pg_hba.conf", "a", encoding="utf-8") as rules:  # of use only with a --host beyond this machine
        rules.write("host all all samenet scram-sha-256\n")
    file = folder.path / "password"
    file.unlink(missing_ok=True)
    atomic.write_text(file, password + "\n", private=True)
    draft.rename(folder.data)


@contextmanager
def _postgresql(
    folder: StoreFolder, program: str, owner: pwd.struct_passwd | None
) -> Iterator[subprocess.Popen[bytes]]:
    listened = _LOOPBACK if folder.host == _LOOPBACK else f"{_LOOPBACK},{folder.host}"
    settings = {
        "listen_addresses": "*" if folder.host == "0.0.0.0" else listened,  # noqa: S104 -- asked for by the user
        "port": str(folder.postgresql_port),
        "unix_socket_directories": "",
        "max_connections": "200",
    }
    command = [program, "-D", str(folder.data), *(word for one in settings.items() for word in ("-c", "=".join(one)))]
    with open(folder.log("postgresql"), "ab") as log:
        server = subprocess.Popen(  # type: ignore[call-overload]
            command, stdout=log, stderr=log, cwd="/", start_new_session=True, **_as(owner)
        )
    try:
        yield server
    finally:
        _end(server, signal.SIGINT, _POSTGRESQL_GRACE)  # waits for no client; what is committed is kept in any case


@contextmanager
def _mlflow(folder: StoreFolder) -> Iterator[subprocess.Popen[bytes]]:
    names = {folder.name, "localhost", _LOOPBACK}
    command = [sys.executable, "-m", "mlflow", "server", "--host", folder.host, "--port", str(folder.mlflow_port)]
    command += ["--workers", "2", "--allowed-hosts", ",".join(f"{name},{name}:*" for name in sorted(names))]
    command += ["--artifacts-destination", folder.artifacts.absolute().as_uri()]
    # Not on the command line, which everybody on this machine can read.
    environment = {**os.environ, **_ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": folder.url("mlflow", _LOOPBACK)}
    with open(folder.log("mlflow"), "ab") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=folder.path, start_new_session=True
        )
    try:
        yield server
    finally:
        _end(server, signal.SIGTERM, _MLFLOW_GRACE, whole=True)


def _end(server: subprocess.Popen[bytes], asked: signal.Signals, grace: float, *, whole: bool = False) -> None:
    """End a server as it wants to be asked; with all that it started where ``whole``."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, asked) if whole else server.send_signal(asked)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(grace)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _wait_for_postgresql(folder: StoreFolder, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers, and make the databases that are missing."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(folder.url("postgres", _LOOPBACK), isolation_level="AUTOCOMMIT")
    while True:
        _check(folder, "postgresql", server)
        try:
            with engine.connect() as connection:
                there = set(connection.execute(sqlalchemy.text("SELECT datname FROM pg_database")).scalars())
                for name in _DATABASES:
                    if name not in there:
                        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
            break
        except sqlalchemy.exc.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StoreError(
                    "the database does not take this password",
                    file=folder.path / "password",
                    seen=first_line(error).replace(folder.password, "***"),
                    remedy="bring back the file as it was made with the folder",
                ) from None
            time.sleep(_GLANCE)
    engine.dispose()


def _wait_for_mlflow(folder: StoreFolder, server: subprocess.Popen[bytes]) -> None:
    while True:
        _check(folder, "mlflow", server)
        host = _LOOPBACK if folder.host == "0.0.0.0" else folder.host  # noqa: S104 -- asked for by the user
        try:
            urllib.request.urlopen(f"http://{host}:{folder.mlflow_port}/health", timeout=5).close()
        except OSError:
            time.sleep(_GLANCE)
        else:
            return


def _check(folder: StoreFolder, name: str, server: subprocess.Popen[bytes]) -> None:
    if server.poll() is not None:
        raise UserError(
            f"the server of {name} has ended by itself",
            file=folder.log(name),
            seen=f"exit code {server.returncode}",
            remedy="the end of this file says why",
        )
