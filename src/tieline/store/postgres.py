"""PostgreSQL: one server, used by control planes on several machines.

A server that is away, fails over or hangs is noticed within ten seconds, and nothing has to be
done for it to be used again once it is back.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, Dialect, Row, Select, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeoutError,
)

from tieline.model.errors import InputError, StoreUnavailable

Result = TypeVar("Result")

#: A server that says nothing for so long, though it was asked, is given up [s].
SILENCE_S: Final = 9.0
#: As libpq counts a new connection's patience [s].
_CONNECT_S: Final = 5
#: A connection that breaks within this time of being used again broke while it lay idle [s].
_STALE_S: Final = 1.0

#: Advisory lock of the one who writes; any number will do, as long as it never changes.
_WRITERS_LOCK: Final = 7_451_880_114
_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE: Final = f"BEGIN; SELECT pg_advisory_xact_lock({_WRITERS_LOCK})"

#: Settings of each session, in which the server bears with us as we do with it. A writer that
#: was stopped in the middle of its transaction must not keep the lock.
SESSION: Final = {
    "synchronous_commit": "on",
    "lock_timeout": "6s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "5s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "9s",
}


class _Attentive(psycopg.Connection[Any]):
    """A connection that gives up a server which hangs: libpq would wait for ever."""

    def wait(self, gen: PQGen[Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as psycopg
        """Run the steps of a question, until it is answered or the server is silent."""
        return super().wait(self._listening(gen), *args, **kwargs)

    def _listening(self, gen: PQGen[Any]) -> Generator[Any, Any, Any]:
        heard = time.monotonic()
        try:
            wish = next(gen)
            while True:
                ready = yield wish
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > SILENCE_S:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server was silent for {SILENCE_S:g} s")
                wish = gen.send(ready)
        except StopIteration as end:
            return end.value


class PostgresDatabase:
    """A database of a PostgreSQL server."""

    shared: Final = True

    def __init__(self, url: URL) -> None:
        """Note where it is; nothing is asked of it yet."""
        self.shown: Final = url.render_as_string()
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",  # transactions begin by hand, in one round trip
            connect_args={
                "connect_timeout": _CONNECT_S,
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 2,
                "tcp_user_timeout": 9000,
                "application_name": "tieline",
                "client_encoding": "utf8",
                "options": " ".join(f"-c {name}={value}" for name, value in SESSION.items()),
            },
            pool_size=5,
            max_overflow=10,
            pool_timeout=SILENCE_S,
            pool_use_lifo=True,
            hide_parameters=True,
        )
        event.listen(engine, "do_connect", _connect)
        self._engine = engine
        self._signs: dict[int, Connection] = {}
        self._signing = Lock()

    def ask(
        self, query: Select[Any], parameters: Mapping[str, object] | None = None
    ) -> Sequence[Row[Any]]:
        """Give the rows of one query, which is quicker than a transaction for it."""
        with _available():
            connection, rows = self._first(lambda one: one.execute(query, parameters).all())
            connection.close()
            return rows

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database, not blocked by writers."""
        with self._transaction(_READ) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give the only writer's connection; all is durable after the block, or nothing is."""
        with self._transaction(_WRITE) as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with _available():
            connection, _ = self._first(lambda fresh: fresh.exec_driver_sql(begin))
            try:
                yield connection
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                with suppress(SQLAlchemyError):  # it may be broken
                    connection.exec_driver_sql("ROLLBACK")
                raise
            finally:
                connection.close()

    def _first(self, order: Callable[[Connection], Result]) -> tuple[Connection, Result]:
        """Give a connection and what it answers to its first order, which changes nothing.

        One that broke while it lay in the pool, as all do when the server starts again, is
        noticed here, where nothing is lost, instead of by a question before each use.
        """
        began = time.monotonic()
        while True:
            connection = self._engine.connect()
            try:
                return connection, order(connection)
            except BaseException as error:
                connection.close()
                broken = isinstance(error, DBAPIError) and error.connection_invalidated
                if not broken or time.monotonic() - began > _STALE_S:
                    raise

    def prepare(self) -> None:
        """Look whether the database can hold every text.

        Raises
        ------
        InputError
            It has another encoding than UTF-8.
        """
        with self.reading() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            raise InputError(f"its encoding is {encoding}; make a database with ENCODING 'UTF8'")

    def now(self, connection: Connection) -> float:
        """Give the UTC epoch by the clock of the server [s]."""
        query = "SELECT extract(epoch FROM clock_timestamp())::float8"
        return float(connection.exec_driver_sql(query).scalar_one())

    def appear(self, presence: int) -> None:
        """Show under a number that this process is there, until `vanish` or its end.

        The sign is a lock of a session of its own: the server frees it when the process dies.
        Where the server has not noticed yet that an earlier session broke, that one's lock is
        the sign until it does.
        """
        with self._signing, _available():
            found = self._signs.pop(presence, None)
            if found is not None and _alive(found):
                self._signs[presence] = found
                return
            order = f"SELECT pg_try_advisory_lock({presence:d})"
            session, shown = self._first(lambda one: one.exec_driver_sql(order).scalar_one())
            if shown:
                self._signs[presence] = session
            else:
                session.close()

    def vanish(self, presence: int) -> None:
        """Take the sign back. Idempotent."""
        with self._signing:
            session = self._signs.pop(presence, None)
        if session is not None:
            session.invalidate()  # the lock goes with the session
            session.close()

    def is_there(self, connection: Connection, presence: int) -> bool:
        """Tell, while writing, whether anybody shows that number."""
        query = f"SELECT pg_try_advisory_xact_lock_shared({presence:d})"
        return not connection.exec_driver_sql(query).scalar_one()

    def close(self) -> None:
        """Close every connection and take all signs back. Idempotent."""
        for presence in list(self._signs):
            self.vanish(presence)
        self._engine.dispose()


def _connect(_dialect: Dialect, _record: object, args: list[Any], given: dict[str, Any]) -> object:
    return _Attentive.connect(*args, **given)


def _alive(session: Connection) -> bool:
    """Tell whether a session is there still; close it when it is not."""
    try:
        session.exec_driver_sql("SELECT 1")
    except DBAPIError:
        session.close()
        return False
    return True


@contextmanager
def _available() -> Iterator[None]:
    """Turn what the server cannot do now into `StoreUnavailable`.

    Away, broken on the way, out of connections or space, a deadlock, a time-out; internal
    errors too, among which are the end of an idle transaction and a server in recovery.
    """
    try:
        yield
    except (OperationalError, InterfaceError, InternalError) as error:
        text = " ".join(str(error.orig).split())
        raise StoreUnavailable(f"the store does not answer: {text}") from error
    except PoolTimeoutError as error:
        raise StoreUnavailable("the store does not answer: all connections are busy") from error
