"""The storage of the ledger: opening it, and one lock for all drivers of a study."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import StoreError, first_line
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.search import postgresql

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy import Engine

    from hybridbatch.search.journal import JournalLedger

_KINDS = ("sqlite", "postgresql")
_BUSY_SECONDS = 60  # how long SQLite waits for another writer


class OutOfReachError(StoreError):
    """A store on a server that cannot be reached now, and may be later."""


def open_storage(url: str) -> RDBStorage | JournalLedger:
    """Return the Optuna storage at ``url``, made on first use.

    Raises:
        StoreError: If it cannot be reached, its driver is missing, or it is of another kind.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.logging.disable_default_handler()  # writes passwords
    optuna.logging.enable_propagation()
    return _open_journal(url) if url.startswith("journal:") else _open_database(url)


def is_there(url: str) -> bool:
    """Return whether a ledger may be at ``url`` already: opening one that is a file would make it."""
    for scheme in ("sqlite://", "journal://"):
        if url.startswith(scheme):
            return Path(url.removeprefix(scheme)).exists() or Path(url.removeprefix(f"{scheme}/")).exists()
    return True


def _open_journal(url: str) -> JournalLedger:
    from hybridbatch.search.journal import JournalLedger

    try:
        return JournalLedger(url)
    except (OSError, ValueError) as error:
        raise _unreachable(url, error) from error


def _open_database(url: str) -> RDBStorage:
    import optuna
    from sqlalchemy import create_engine, event, make_url
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    sqlite = url.startswith("sqlite:///")
    if sqlite:
        with readable_store_errors(url):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        connect = {"timeout": _BUSY_SECONDS} if sqlite else postgresql.connect_arguments(make_url(url))
        if make_url(url).get_backend_name() not in _KINDS:  # no lock is known for others
            raise ValueError(f"a store of the kind {make_url(url).get_backend_name()}")
        # Two drivers that start at once would both make the tables.
        with _locked(create_engine(url, poolclass=NullPool, connect_args=connect), None):
            arguments = {"connect_args": connect, "pool_pre_ping": not sqlite}
            storage = optuna.storages.RDBStorage(url, engine_kwargs=arguments)
        if storage.engine.name == "sqlite":
            event.listen(storage.engine, "connect", _prepare_sqlite)
        else:
            postgresql.prepare(storage, lambda error: _unreachable(url, error))
        storage.engine.dispose()  # what is open already was opened without these
        with storage.engine.connect():
            pass
    except (SQLAlchemyError, ImportError, ValueError, OSError) as error:
        raise _unreachable(url, error) from error
    return storage


def _prepare_sqlite(connection: Any, record: object) -> None:
    # Readers go on while somebody writes, and a killed writer leaves nothing half-written. Only a power cut can take
    # the newest entries away: they are told again from the trial folders, which wait for the disk.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


@contextmanager
def readable_store_errors(url: str) -> Iterator[None]:
    """Turn what a database raises into a :class:`StoreError` that names the store, without its password.

    Raises:
        OutOfReachError: If it lies on a server that cannot be reached now.
        StoreError: If it refuses.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, OSError) as error:
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: BaseException) -> StoreError:
    cause: BaseException = error
    while cause.__cause__ is not None and cause.__cause__ is not cause:
        cause = cause.__cause__
    text = hide_passwords(first_line(cause))
    full = "disk is full" in text or "No space left" in text
    away = url.startswith("postgresql") and not full and postgresql.is_away(error)
    kind = OutOfReachError if away else StoreError
    return kind(
        "the ledger cannot be written: the disk is full" if full else "the ledger cannot be reached",
        file=hide_passwords(url),
        path="stores.ledger",
        seen=text,
        allowed="a URL that SQLAlchemy can open, such as sqlite:////folder/ledger.db or "
        "postgresql+psycopg://user@host/name, or journal:///folder/ledger.log",
        remedy="free some space, then run `hybridbatch resume`; everything already recorded is kept"
        if full
        else "check the URL, the password and that the server runs; PostgreSQL needs the extra hybridbatch[postgresql]",
    )


def close_storage(storage: RDBStorage | JournalLedger) -> None:
    """Let go of connections."""
    from optuna.storages import RDBStorage

    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


@contextmanager
def exclusive(storage: RDBStorage | JournalLedger, study: str) -> Iterator[None]:
    """Let one driver at a time decide who gets which trial: across processes, and across machines with PostgreSQL."""
    from optuna.storages import RDBStorage

    if isinstance(storage, RDBStorage):
        lock = _locked(storage.engine, study, storage)
    else:
        lock = _file_lock(storage.file, study)
    with lock:
        yield


@contextmanager
def _locked(engine: Engine, study: str | None, storage: RDBStorage | None = None) -> Iterator[None]:
    """Hold the lock of a study, or of the whole store; it goes with its holder: a killed driver leaves none behind."""
    if engine.url.get_backend_name() == "postgresql":
        key = int(fingerprint.of_texts(["ledger", study or ""]), 16) >> 1  # PostgreSQL takes signed 64-bit keys
        with postgresql.locked(engine, key, storage):
            yield
        return
    with _file_lock(Path(engine.url.database or ""), study):
        yield


@contextmanager
def _file_lock(store: Path, study: str | None) -> Iterator[None]:
    with open(".".join(filter(None, [str(store), study, "lock"])), "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits in line: who only looked now and then would starve
        yield
