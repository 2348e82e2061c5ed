"""How a store comes to its newest schema, and which files it leaves alone."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event, text

from tieline.control.chain import Head, verify
from tieline.control.lifecycle import Event, Status
from tieline.control.ports import Change
from tieline.model.errors import InputError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store
from tieline.store.records import to_json
from tieline.store.schema import METADATA, REVISION, VERSION_TABLE

SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "python train.py"})


class Interrupted(Exception):  # noqa: N818 - stands for the death of the process
    """Ends a migration on its way."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the path of a store that is not there yet."""
    return tmp_path / "store.db"


def tables(file: Path) -> set[str]:
    """Read the names of the tables with nothing of ours between."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows}


def works(file: Path) -> bool:
    """Open the store, submit a job and read it back."""
    store = open_store(f"sqlite:///{file}")
    (job,) = store.add_jobs([SPEC], now=1.0)
    same = store.job(job.id) == job
    store.close()
    return same


@contextmanager
def statements(stop_after: int | None = None) -> Iterator[list[str]]:
    """Collect the statements that are run, and interrupt after one of them."""
    run: list[str] = []

    def ran(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        run.append(statement)
        if len(run) == stop_after:
            raise Interrupted

    event.listen(Engine, "after_cursor_execute", ran)
    try:
        yield run
    finally:
        event.remove(Engine, "after_cursor_execute", ran)


def test_migrations_give_the_tables_of_the_code(file: Path) -> None:
    """All migrations together make exactly the tables that the code works with."""
    open_store(f"sqlite:///{file}").close()
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_heads() == (REVISION,)
    engine.dispose()


def test_a_store_of_the_first_version_is_upgraded_with_its_jobs(file: Path) -> None:
    """Jobs and events of the first schema are all there in the newest, and go on from there."""
    first(file)
    store = open_store(f"sqlite:///{file}")
    (job,) = store.jobs()
    assert (job.spec, job.status, job.attempt) == (SPEC, Status.RUNNING, 1)
    assert (job.count, job.size, job.stops, job.left_s) == (None, 8, 0, None)
    (after,) = store.record([Change(job.id, job.version, Event.PREEMPTED, 9.0, left_s=5.0)])
    assert (after.status, after.left_s) == (Status.STOPPING, 5.0)
    assert [line.event for line in store.events()] == ["submitted", "preempted"]
    store.close()
    with closing(sqlite3.connect(file)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("DELETE FROM jobs")  # the guards have outlived the upgrade


def first(file: Path) -> None:
    """Make a store as the first version did, with one job that runs."""
    with migrated(file, "0001") as connection:
        connection.execute(
            text(
                "INSERT INTO jobs VALUES (1, :spec, 'lab-a', 2, 1.0, 2, 1, 's/p', 2.0, 3.0, "
                "NULL, NULL, '', NULL)"
            ),
            {"spec": to_json(SPEC)},
        )
        connection.execute(text("INSERT INTO events VALUES (1, 1.0, 1, 'submitted', '{}')"))


@contextmanager
def migrated(file: Path, revision: str) -> Iterator[Connection]:
    """Give a connection to a new store of an older schema."""
    config = Config()
    config.set_main_option("script_location", "tieline.store:migrations")
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        yield connection
    engine.dispose()


def test_an_upgrade_chains_the_whole_log(file: Path) -> None:
    """The lines of an older store get their hashes, and the guards stand as before."""
    with migrated(file, "0002") as connection:
        job = "INSERT INTO jobs VALUES (:n, :spec, 'lab-a', 0, 1.5, 0, 0, NULL, NULL, NULL, NULL"
        line = "INSERT INTO events VALUES (:n, 1.5, :n, 'submitted', :data)"
        rows = [
            {"n": number, "spec": to_json(SPEC), "data": f'{{"key":"{number} \\u00e9"}}'}
            for number in range(1, 2502)  # more than are copied at a time
        ]
        connection.execute(text(f"{job}, NULL, '', NULL, NULL, 0, NULL)"), rows)
        connection.execute(text(line), rows)
    store = open_store(f"sqlite:///{file}")
    store.drain("s", now=2.0)
    head = verify(store.events(limit=10_000))
    assert isinstance(head, Head)
    assert head.seq == 2502
    store.close()
    for statement in ("UPDATE events SET at = 0", "DELETE FROM events WHERE seq = 2502"):
        with closing(sqlite3.connect(file)) as other, pytest.raises(sqlite3.IntegrityError):
            other.execute(statement)


def test_a_store_that_is_current_is_not_migrated(file: Path) -> None:
    """A second opening changes nothing, and does not even load the migrations."""
    open_store(f"sqlite:///{file}").close()
    before = file.read_bytes()
    code = (
        "import sys; from tieline.store import open_store; open_store(sys.argv[1]).close(); "
        "sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, f"sqlite:///{file}"], check=True, timeout=60)
    assert file.read_bytes() == before


def test_migrating_is_silent(file: Path) -> None:
    """A migration prints nothing, warns of nothing and leaves the set-up of logging alone."""
    code = (
        "import logging, sys; from tieline.store import open_store; "
        "open_store(sys.argv[1]).close(); root = logging.getLogger(); "
        "sys.exit(bool(root.handlers) or root.level != logging.WARNING)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code, f"sqlite:///{file}"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_interrupted_migration_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """Whichever statement is the last, no half schema is left, and the next opening works."""
    with statements() as run:
        open_store(f"sqlite:///{tmp_path / 'whole.db'}").close()
    assert sum(one.lstrip().startswith("CREATE") for one in run) >= 10
    for stop in range(1, len(run) + 1):
        file = tmp_path / f"{stop}.db"
        with pytest.raises(Interrupted), statements(stop_after=stop):
            open_store(f"sqlite:///{file}")
        assert tables(file) == set()
        assert works(file)


def test_a_migration_that_is_killed_leaves_a_usable_file(file: Path) -> None:
    """A process that dies by SIGKILL between two tables leaves no trace of the first."""
    code = """
import os, signal, sys
from sqlalchemy import Engine, event
from tieline.store import open_store

def ran(connection, cursor, statement, *rest):
    if statement.lstrip().startswith("CREATE TABLE events"):
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "after_cursor_execute", ran)
open_store(sys.argv[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{file}"], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert tables(file) == set()
    assert works(file)


def test_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    """However many processes open the same new file at once, all get a store that works."""
    code = """
import sys
from alembic import command
from tieline.store import open_store

for line in sys.stdin:
    open_store(line.strip()).close()
    print("open", flush=True)
"""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(3)
        ]
        pipes = [(process.stdin, process.stdout) for process in processes]
        for number in range(10):
            for urls, _ in pipes:
                assert urls is not None
                print(f"sqlite:///{tmp_path / str(number)}.db", file=urls, flush=True)
            for _, answers in pipes:
                assert answers is not None
                assert answers.readline() == "open\n"
    assert all(works(tmp_path / f"{number}.db") for number in range(10))


def test_a_newer_store_is_refused(file: Path) -> None:
    """A store of a newer Tieline is left alone, with a line that says what to do."""
    open_store(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    before = file.read_bytes()
    with pytest.raises(InputError, match=rf"{file}.*9999.*newer Tieline.*{REVISION}"):
        open_store(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_database_of_another_program_is_refused(file: Path) -> None:
    """A database with tables that are not ours is left as it was, down to the last byte."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE customers (name)")
        connection.execute("CREATE TABLE alembic_version (version_num)")
    before = file.read_bytes()
    with pytest.raises(InputError, match=rf"{file}.*another program.*customers"):
        open_store(f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"x", b"tenant: lab-a\n" * 100, b"SQLite format 3\0" * 99])
def test_a_file_that_is_no_database_is_refused(file: Path, content: bytes) -> None:
    """Another kind of file, however short, is refused and not written over."""
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"{file}: .*not a database"):
        open_store(f"sqlite:///{file}")
    assert file.read_bytes() == content


def test_an_empty_file_becomes_a_store(file: Path) -> None:
    """A file without content, such as `mktemp` makes, is a new store."""
    file.touch()
    assert works(file)
