"""SQLite: one file, used by the processes of one machine, or a database in memory."""

import fcntl
import os
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, StaticPool, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from tieline.model.errors import InputError, StoreUnavailable

#: How long a call waits for another process that writes [s]; SQLite then says it is locked.
BUSY_TIMEOUT_S: Final = 10.0

_MAGIC: Final = b"SQLite format 3\0"
_BEGIN: Final = "tieline_begin"
#: `struct flock` of Linux for one byte at an offset.
_FLOCK: Final = "hhqqi4x"


class SqliteDatabase:
    """A file, or memory that ends with this object."""

    shared: Final = False

    def __init__(self, url: URL) -> None:
        """Open it; the file is made when it is absent.

        Raises
        ------
        InputError
            Its folder does not exist, or the file is no database.
        """
        self.shown: Final = url.render_as_string()
        in_memory = url.database in (None, ":memory:")
        if in_memory:
            engine = create_engine(
                "sqlite://",
                poolclass=StaticPool,
                connect_args={"check_same_thread": False, "isolation_level": None},
                hide_parameters=True,
            )
            self._signs = _Signs(None)
        else:
            file = _file(str(url.database))
            engine = create_engine(
                url.set(database=file),
                connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None},
                max_overflow=-1,
                hide_parameters=True,
            )
            self._signs = _Signs(f"{file}-leader")
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
        self._engine = engine
        self._write_engine = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        # Threads queue here instead of polling SQLite's file lock, which is neither quick
        # nor fair; between processes that lock does the work.
        self._writer = threading.Lock()
        self._reader: AbstractContextManager[object] = self._writer if in_memory else nullcontext()

    def ask(
        self, query: Select[Any], parameters: Mapping[str, object] | None = None
    ) -> Sequence[Row[Any]]:
        """Give the rows of one query, which is quicker than a transaction for it."""
        with self.reading() as connection:
            return connection.execute(query, parameters).all()

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

    def now(self, connection: Connection) -> float:
        """Give the UTC epoch by the clock of this machine, the only one there is [s]."""
        del connection
        return time.time()

    def appear(self, presence: int) -> None:
        """Show under a number that this process is there, until `vanish` or its end."""
        self._signs.show(presence)

    def vanish(self, presence: int) -> None:
        """Take the sign back. Idempotent."""
        self._signs.hide(presence)

    def is_there(self, connection: Connection, presence: int) -> bool:
        """Tell, while writing, whether anybody shows that number."""
        del connection
        return self._signs.seen(presence)

    def close(self) -> None:
        """Close every connection and take all signs back. Idempotent."""
        self._signs.close()
        self._engine.dispose()


class _Signs:
    """Signs of life: locks on single bytes of a file, which the kernel frees with their owner.

    The locks belong to the open file, not to the process as those of `fcntl.lockf` do: these
    would all be gone as soon as the process closed the file anywhere. In memory a set will do.
    """

    def __init__(self, file: str | None) -> None:
        self._name = file
        self._fd: int | None = None
        self._shown: set[int] = set()

    def show(self, number: int) -> None:
        self._shown.add(number)
        if self._name is not None:
            self._lock(fcntl.F_OFD_SETLK, fcntl.F_WRLCK, number)

    def hide(self, number: int) -> None:
        self._shown.discard(number)
        if self._fd is not None:
            self._lock(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, number)

    def seen(self, number: int) -> bool:
        # One's own locks are no obstacle to oneself.
        if number in self._shown or self._name is None:
            return number in self._shown
        return self._lock(fcntl.F_OFD_GETLK, fcntl.F_WRLCK, number) != fcntl.F_UNLCK

    def close(self) -> None:
        self._shown.clear()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _lock(self, order: int, kind: int, number: int) -> int:
        """Give what kind of lock is there then."""
        try:
            if self._fd is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._fd = os.open(str(self._name), flags, 0o600)
            wish = struct.pack(_FLOCK, kind, os.SEEK_SET, number, 1, 0)
            found: int = struct.unpack(_FLOCK, fcntl.fcntl(self._fd, order, wish))[0]
        except OSError as error:
            raise StoreUnavailable(f"cannot lock {self._name}: {error.strerror}") from error
        return found


@contextmanager
def _available() -> Iterator[None]:
    """Turn what the database cannot do now (locked, disk full) into `StoreUnavailable`."""
    try:
        yield
    except OperationalError as error:
        raise StoreUnavailable(f"the store does not answer: {error.orig}") from error


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
