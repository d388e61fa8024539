"""PostgreSQL as the ledger's store: noticing that it is away, and a lock that what is written under it cannot outlive.

The lock belongs to a connection, and everything that is written under the lock goes through this connection. When it is
cut, the server ends the transaction first and frees the lock then: nothing of a driver that lost the lock arrives
later, while another one holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError

from hybridbatch.foundation.errors import StoreError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.orm import Session, SessionTransaction

# A peer that vanished without a word is noticed after 20 + 4 * 5 seconds, here and on the server, which frees the lock.
_IDLE, _INTERVAL, _COUNT = 20, 5, 4
_CONNECT_ARGUMENTS = {
    "connect_timeout": 10,
    "keepalives_idle": _IDLE,
    "keepalives_interval": _INTERVAL,
    "keepalives_count": _COUNT,
    "tcp_user_timeout": 1000 * (_IDLE + _INTERVAL * _COUNT),
}
_LIBPQ = ("psycopg", "psycopg2", "psycopg2cffi")  # drivers that take these arguments
# SQLSTATE: connection failures, shutdown and start of the server, and a server that takes nothing in: no more
# connections, or a standby that is about to take over.
_AWAY = ("08", "57P", "53300", "25006")
_CONNECTION = "hybridbatch-connection"  # in the info of a session: the connection that holds the lock


def connect_arguments(url: URL) -> dict[str, Any]:
    """Return arguments of a connection that notices when its peer is gone, where ``url`` does not say otherwise."""
    if url.get_driver_name() not in _LIBPQ:
        return {}
    return {name: value for name, value in _CONNECT_ARGUMENTS.items() if name not in url.query}


def is_away(error: BaseException | None) -> bool:
    """Return whether an error says that the server cannot be reached, and not that it refuses."""
    while error is not None:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        if isinstance(error, DisconnectionError):
            return True
        if isinstance(error, (OperationalError, InterfaceError)) and _says_away(error.orig):
            return True
        error = error.__cause__ or error.__context__
    return False


def _says_away(error: BaseException | None) -> bool:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return state is None or state.startswith(_AWAY)  # none: the server did not get to say anything


def prepare(storage: RDBStorage, out_of_reach: Callable[[BaseException], Exception]) -> None:
    """Let a storage raise what ``out_of_reach`` makes of the error when the server is away.

    Optuna takes a lost answer to a commit for a commit that failed, and makes a new trial for every one that it thinks
    failed. An error that is none of SQLAlchemy's it passes on.
    """

    def pass_on(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if not context.is_pre_ping and error is not None and (context.is_disconnect or is_away(error)):
            raise out_of_reach(error)

    def same_connection(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
        held = session.info.get(_CONNECTION)
        if held is not None and connection.connection.dbapi_connection is not held:  # SQLAlchemy connects again unasked
            raise out_of_reach(DisconnectionError("the connection that held the lock was lost"))

    event.listen(storage.engine, "handle_error", pass_on)
    event.listen(storage.engine, "connect", _notice_lost_clients)
    event.listen(storage.scoped_session, "after_begin", same_connection)


def _notice_lost_clients(connection: Any, record: object) -> None:
    with connection.cursor() as cursor:  # not in the start of the connection, where PgBouncer knows no options
        cursor.execute(
            f"SET tcp_keepalives_idle = {_IDLE}; SET tcp_keepalives_interval = {_INTERVAL}; "
            f"SET tcp_keepalives_count = {_COUNT}"
        )
    connection.commit()


@contextmanager
def locked(engine: Engine, key: int, storage: RDBStorage | None = None) -> Iterator[None]:
    """Hold an advisory lock.

    Args:
        engine: The server.
        key: Which lock.
        storage: What this thread reads and writes through it meanwhile goes through the connection that holds the lock.
    """
    connection = engine.connect()
    try:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({key})")
        connection.commit()  # the lock is the connection's, not the transaction's
        if storage is None:
            yield
        else:
            with _through(storage, connection):
                yield
        _unlock(connection, key)
    except BaseException:
        connection.invalidate()  # ends it, and the lock with it, in whatever state it is
        raise
    finally:
        connection.close()


@contextmanager
def _through(storage: RDBStorage, connection: Connection) -> Iterator[None]:
    session = storage.scoped_session()
    before = session.bind
    session.bind = connection
    session.info[_CONNECTION] = connection.connection.dbapi_connection
    try:
        yield
    finally:
        session.close()
        del session.info[_CONNECTION]
        session.bind = before


def _unlock(connection: Connection, key: int) -> None:
    """Free the lock; where this fails all is written already, and the lock goes with the connection."""
    if connection.invalidated:
        return
    try:
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({key})")
        connection.commit()
    except (SQLAlchemyError, StoreError):
        connection.invalidate()
