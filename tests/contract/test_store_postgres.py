"""What a store on PostgreSQL does when its server dies, hangs, comes back or is another's."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Final

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text

from bed.postgres import PASSWORD, Server
from tieline.control.lifecycle import Event, Status
from tieline.control.ports import Change, Store
from tieline.model.errors import InputError, StoreUnavailable
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store, postgres, without_secret
from tieline.store.address import connect
from tieline.store.records import to_json
from tieline.store.schema import METADATA, REVISION, VERSION_TABLE

SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "python train.py"})


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    """Give a plain way to the database."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    yield engine
    engine.dispose()


# ---------------------------------------------------------------- a server that fails


def test_what_was_acknowledged_outlives_the_server(
    postgres_server: Server, check_store: Callable[[Store], None]
) -> None:
    """Writers who repeat what failed lose nothing and store nothing twice when the server dies."""
    store = open_store(postgres_server.url())
    acknowledged: dict[str, str] = {}
    over, failures = threading.Event(), []

    def write(number: int) -> None:
        turn = 0
        while not over.is_set():
            key = f"{number}-{turn}"
            try:
                (job,) = store.add_jobs([SPEC], now=1.0, key=key)
                store.request_cancel(job.id, now=2.0)
            except StoreUnavailable as error:
                failures.append(str(error))
                time.sleep(0.05)
                continue
            acknowledged[key] = job.id
            turn += 1

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        for _ in range(2):
            seen = len(acknowledged)
            while len(acknowledged) < seen + 20:
                time.sleep(0.01)
            postgres_server.kill()
            postgres_server.start()
        over.set()
        for writer in writers:
            writer.result()
    assert failures
    assert not any("\n" in text or PASSWORD in text for text in failures)
    jobs = {job.id for job in store.jobs(limit=100_000)}
    submitted = [line for line in store.events(limit=100_000) if "key" in line.data]
    keys = {line.data["key"]: line.job_id for line in submitted}
    assert acknowledged.items() <= keys.items()
    assert len(jobs) == len(keys) <= len(acknowledged) + 4
    check_store(store)
    store.close()


def test_a_server_that_was_away_is_used_again(postgres_server: Server) -> None:
    """While the server is away every call says so; when it is back the first one succeeds."""
    store = open_store(postgres_server.url())
    (job,) = store.add_jobs([SPEC], now=1.0, key="k")
    epoch = store.lead("here:1", "http://here", lease_s=60.0)
    assert epoch == 1
    with ThreadPoolExecutor(4) as pool:  # several connections lie idle then
        list(pool.map(lambda _: store.open_jobs(), range(16)))
    postgres_server.stop()
    for call in (
        store.open_jobs,
        lambda: store.add_jobs([SPEC], now=1.0),
        lambda: store.renew(1),
        lambda: store.lead("there:2", "http://there", lease_s=60.0),
    ):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            call()
    postgres_server.start()
    store.renew(1)
    assert store.job(job.id) == store.add_jobs([SPEC], now=1.0, key="k")[0] == job
    assert store.lead("there:2", "http://there", lease_s=60.0) is None
    store.close()


def test_idle_connections_that_broke_are_replaced(postgres_server: Server) -> None:
    """After the server has started again the first question and the first write succeed."""
    store = open_store(postgres_server.url())
    (job,) = store.add_jobs([SPEC], now=1.0)
    for call in (
        lambda: store.job(job.id),
        store.open_jobs,
        lambda: store.add_jobs([SPEC], now=1.0),
    ):
        postgres_server.stop()
        postgres_server.start()
        call()
    store.close()


def test_a_server_that_hangs_is_given_up(
    postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that keeps connections open and says nothing is away, until it goes on."""
    monkeypatch.setattr(postgres, "SILENCE_S", 1.0)
    store = open_store(postgres_server.url())
    (job,) = store.add_jobs([SPEC], now=1.0)
    postgres_server.hang()
    try:
        with pytest.raises(StoreUnavailable, match="silent for 1 s"):
            store.job(job.id)
        with pytest.raises(StoreUnavailable):
            store.add_jobs([SPEC], now=1.0)
    finally:
        postgres_server.go_on()
    assert store.job(job.id) == job
    store.close()


def test_a_writer_that_hangs_does_not_stop_the_others(
    postgres_server: Server, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """Who sleeps in the middle of a transaction loses it, and with it the writers' lock."""
    url = postgres_server.url()
    store, sleeper = open_store(url), connect(url)
    store.lead("asleep:1", "http://asleep", lease_s=60.0)

    def overtaken() -> bool:
        try:
            return store.lead("here:2", "http://here", lease_s=0.01) == 2
        except StoreUnavailable:
            return False

    def sleep_while_writing() -> None:
        with sleeper.writing() as connection:
            connection.execute(text("UPDATE leader SET name = 'ghost'"))
            eventually(overtaken)
            connection.execute(text("UPDATE leader SET name = 'ghost'"))

    with pytest.raises(StoreUnavailable):
        sleep_while_writing()
    leader = store.leader()
    assert leader is not None
    assert (leader.epoch, leader.name) == (2, "here:2")
    sleeper.close()
    store.close()


def test_the_end_of_a_session_is_seen_and_mended(postgres_server: Server) -> None:
    """A leader whose session the server ended may be followed at once, or renews and leads on."""
    url = postgres_server.url()
    first, second = open_store(url), open_store(url)
    first.lead("here:1", "http://here", lease_s=60.0)
    end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(end)
    first.renew(1)
    assert second.lead("there:2", "http://there", lease_s=60.0) is None
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(end)
    assert second.lead("there:2", "http://there", lease_s=60.0) == 2
    first.close()
    second.close()


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ann:sesame@host", "no database in it; write .*postgresql://user@host"),
        ("postgresql://ann:sesame@host:port/db", r"ann:\*\*\*@host:port/db: not a URL"),
        ("postgresql://ann:ses/a@me@host:x/db", r"ann:\*\*\*@host:x/db: not a URL"),
        ("postgresql://ann@host/db?password=sesame", "no place for `password`: .*PGPASSWORD"),
        ("postgresql://ann@host/db?options=-cx", "no place for `options`: leave it out"),
        ("postgresql+psycopg2://ann:sesame@host/db", r"ann:\*\*\*@host/db: unknown kind"),
    ],
)
def test_a_wrong_url_shows_no_secret(url: str, words: str) -> None:
    """A URL that leads nowhere is refused in one line, with its password left out."""
    with pytest.raises(InputError, match=words) as caught:
        open_store(url)
    assert "sesame" not in str(caught.value)
    assert "a@me" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "sesame" not in without_secret("postgresql://ann:sesame@host/db")


@pytest.mark.parametrize("form", ["postgresql:", "postgresql+psycopg:"])
def test_both_forms_of_the_url_lead_there(postgres_server: Server, form: str) -> None:
    """The name of the driver may stand in the URL or not."""
    url = postgres_server.url()
    with closing(open_store(url.replace("postgresql:", form))) as store:
        assert store.jobs() == []


def test_a_database_that_lets_nobody_in_is_unavailable(postgres_server: Server) -> None:
    """A wrong password, an unknown database or a closed port is one line, without the secret."""
    url = postgres_server.url()
    for wrong, words in (
        (url.replace(PASSWORD, "open-up"), "password authentication failed"),
        (f"{url}x", "does not exist"),
        (url.replace(f":{postgres_server.port}/", ":1/"), "refused"),
    ):
        with pytest.raises(StoreUnavailable, match=words) as caught:
            open_store(wrong)
        assert str(caught.value).startswith("store postgresql://tieline:***@127.0.0.1:")
        assert "\n" not in str(caught.value)
        for secret in (PASSWORD, "open-up"):
            assert secret not in str(caught.value)


def test_a_database_in_another_encoding_is_refused(postgres_server: Server) -> None:
    """A database that cannot hold every text is refused before anything is in it."""
    url = postgres_server.url()
    with psycopg.connect(url.replace("//tieline:", "//postgres:"), autocommit=True) as owner:
        owner.execute("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
        owner.execute("ALTER DATABASE ascii OWNER TO tieline")
    with pytest.raises(InputError, match=r"its encoding is SQL_ASCII; .*UTF8"):
        open_store(f"{url.rpartition('/')[0]}/ascii")


# ---------------------------------------------------------------- migrations


def test_migrations_give_the_tables_of_the_code(postgres_server: Server) -> None:
    """All migrations together make exactly the tables that the code works with."""
    url = postgres_server.url()
    open_store(url).close()
    with engine_of(url) as engine, engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_heads() == (REVISION,)


def test_an_older_store_is_upgraded_with_its_jobs(
    postgres_server: Server, check_store: Callable[[Store], None]
) -> None:
    """Jobs and events of an earlier schema are all there in the newest, and go on from there."""
    url = postgres_server.url()
    config = Config()
    config.set_main_option("script_location", "tieline.store:migrations")
    with engine_of(url) as engine, engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        row = {"spec": to_json(SPEC)}
        job = "INSERT INTO jobs VALUES (1, :spec, 'lab-a', 0, 1.0, 0, 0, NULL, NULL, NULL, NULL"
        connection.execute(text(f"{job}, NULL, '', NULL, NULL, 0, NULL)"), row)
        connection.execute(text("INSERT INTO events VALUES (1, 1.0, 1, 'submitted', '{}')"))
    store = open_store(url)
    (found,) = store.jobs()
    (after,) = store.record([Change(found.id, 0, Event.PLACED, 9.0, pool="p/q")])
    assert (after.spec, after.status) == (SPEC, Status.SUBMITTED)
    assert [line.event for line in store.events()] == ["submitted", "placed"]
    check_store(store)
    store.close()
    with psycopg.connect(url) as other, pytest.raises(psycopg.Error, match="append-only"):
        other.execute("DELETE FROM events")


def test_processes_may_open_a_new_store_at_once(postgres_server: Server) -> None:
    """However many processes open the same empty database at once, all get a store that works."""
    code = "import sys; from tieline.store import open_store; open_store(sys.argv[1]).close()"
    url = postgres_server.url()
    processes = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with closing(open_store(url)) as store:
        (job,) = store.add_jobs([SPEC], now=1.0)
        assert store.job(job.id) == job


def test_a_database_of_another_program_is_refused(postgres_server: Server) -> None:
    """A database with tables that are not ours is left as it was."""
    url = postgres_server.url()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("CREATE TABLE customers (name text)")
    with pytest.raises(InputError, match=r"another program.*customers"):
        open_store(url)
    with psycopg.connect(url) as other:
        found = other.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert found.fetchall() == [("customers",)]
