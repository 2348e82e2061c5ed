"""The one module that knows which database it is: opens it and begins transactions.

Writers are one at a time, so rows become visible in the order of their numbers: whoever
reads the log up to position n has seen everything up to n. A database with several writers
must keep that promise (PostgreSQL: an advisory lock taken in `writing` and held until the
commit, and repeatable-read snapshots in `reading`).
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from tieline.model.errors import InputError, StoreUnavailable

#: How long a call waits for another process that writes [s]; SQLite then says it is locked.
BUSY_TIMEOUT_S: Final = 10.0

_MAGIC: Final = b"SQLite format 3\0"
_BEGIN: Final = "tieline_begin"
_FORMS: Final = "`sqlite:///path/to/file.db`, or `sqlite://` for one in memory"


class Database:
    """Connections to one database, safe to use from several threads."""

    def __init__(self, engine: Engine, *, one_connection: bool) -> None:
        self._engine = engine
        self._write_engine = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        # Threads queue here instead of polling SQLite's file lock, which is neither quick
        # nor fair; between processes that lock does the work.
        self._writer = threading.Lock()
        self._reader: AbstractContextManager[object] = (
            self._writer if one_connection else nullcontext()
        )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database, not blocked by writers."""
        with _available(), self._reader, self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give the only writer's connection; all is durable after the block, or nothing is."""
        with _available(), self._writer, self._write_engine.begin() as connection:
            yield connection

    def prepare(self) -> None:
        """Switch the file, once it is known to be ours, to WAL: readers go on beside a writer.

        Raises
        ------
        InputError
            Its file system does not allow WAL (network file systems do not).
        """
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while (mode := self._switch_to_wal()) is None:
            if time.monotonic() > deadline:
                raise StoreUnavailable("another process is using it, and does not let go")
            time.sleep(0.01)
        if mode not in ("wal", "memory"):
            raise InputError(f"its file system allows no WAL, only {mode}; use a local disk")

    def _switch_to_wal(self) -> str | None:
        """Give the journal mode then; None when another process is at it.

        The switch is the one statement for which SQLite does not wait by itself.
        """
        bare = self._engine.execution_options(**{_BEGIN: None})
        try:
            with self._writer, bare.connect() as connection:
                return str(connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar())
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                return None
            raise

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._engine.dispose()


@contextmanager
def _available() -> Iterator[None]:
    """Turn what the database cannot do now (locked, disk full) into `StoreUnavailable`."""
    try:
        yield
    except OperationalError as error:
        raise StoreUnavailable(f"the store does not answer: {error.orig}") from error


def connect(url: str) -> Database:
    """Give the database behind a URL; the file is made when it is absent.

    Raises
    ------
    InputError
        The URL is of an unknown form, or its folder does not exist.
    """
    parsed = _parse(url)
    if parsed.database in (None, ":memory:"):
        engine = create_engine(
            "sqlite://",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "isolation_level": None},
        )
    else:
        engine = create_engine(
            parsed.set(database=_file(str(parsed.database))),
            connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None},
            max_overflow=-1,
        )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return Database(engine, one_connection=isinstance(engine.pool, StaticPool))


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(f"store {url}: not a URL; write {_FORMS}") from None
    shown = parsed.render_as_string()
    if parsed.drivername != "sqlite":
        raise InputError(f"store {shown}: unknown kind `{parsed.drivername}`; write {_FORMS}")
    if parsed.host or parsed.query or parsed.database == "":
        raise InputError(f"store {shown}: no path to a file in it; write {_FORMS}")
    return parsed


def _file(name: str) -> str:
    """Give the absolute path: a later change of folder must not lead to another file."""
    path = Path(name).absolute()
    if path.is_dir():
        raise InputError(f"store {path}: this is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"store {path}: there is no folder {path.parent}; make it first")
    # SQLite takes a file that is shorter than its header for an empty one and writes over it.
    if path.is_file() and not _is_sqlite(path):
        raise InputError(f"store {path}: this is not a database; name another file")
    return str(path)


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) in (b"", _MAGIC)


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    """Prepare a new connection.

    FULL waits for the disk at every commit: in WAL mode NORMAL would survive the death of the
    process, but an acknowledged job must outlive a power cut too.
    """
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    """Begin by hand: the sqlite3 module begins too late for a snapshot and never for DDL."""
    statement = connection.get_execution_options().get(_BEGIN, "BEGIN")
    if statement is not None:  # WAL cannot be switched on inside a transaction
        connection.exec_driver_sql(statement)
