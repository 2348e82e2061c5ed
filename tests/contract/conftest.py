"""The stores under contract: a new implementation joins by a line in `MAKERS`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg import sql

from bed.postgres import Server
from tieline.control.audit import KeptJob, LogAudit, job_findings
from tieline.control.chain import Break, verify
from tieline.control.ports import Store, StoredEvent
from tieline.store import open_store
from tieline.store.records import to_json
from tieline.store.schema import METADATA


@contextmanager
def in_file(_request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """Give the URL of a file that is not there yet."""
    yield f"sqlite:///{folder}/store.db"


@contextmanager
def in_memory(_request: pytest.FixtureRequest, _folder: Path) -> Iterator[str]:
    """Give the URL of a store in memory."""
    yield "sqlite://"


@contextmanager
def on_postgres(request: pytest.FixtureRequest, _folder: Path) -> Iterator[str]:
    """Give the URL of a database that is emptied afterwards: making one takes long."""
    url = request.getfixturevalue("postgres_store")
    try:
        yield url
    finally:
        with psycopg.connect(url.replace("//tieline:", "//postgres:"), autocommit=True) as owner:
            owner.execute("SET session_replication_role = replica")  # no guard, no foreign key
            for table in METADATA.sorted_tables:
                owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))


#: Implementation -> URL of a new store; those of `DURABLE` outlive the process.
MAKERS: Final = {"postgres": on_postgres, "sqlite-file": in_file, "sqlite-memory": in_memory}
DURABLE: Final = ["postgres", "sqlite-file"]


@pytest.fixture(scope="session")
def postgres_store(postgres_server: Server) -> str:
    """Give the URL of a database that is a store, for one test after the other."""
    url = postgres_server.url()
    open_store(url).close()
    return url


@pytest.fixture(params=sorted(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Give a new, empty store of each implementation; check it when the test is done."""
    with MAKERS[request.param](request, tmp_path) as url:
        store = open_store(url)
        yield store
        check_log_gives_state(store)
        store.close()


@pytest.fixture(params=DURABLE)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a new store of each implementation that outlives its process."""
    with MAKERS[request.param](request, tmp_path) as url:
        yield url


@pytest.fixture
def check_store() -> Callable[[Store], None]:
    """Give the check that the log of a store explains its state."""
    return check_log_gives_state


def whole_log(store: Store) -> list[StoredEvent]:
    """Read the event log from its start to its end, in small pages."""
    log: list[StoredEvent] = []
    while page := store.events(after=log[-1].seq if log else 0, limit=70):
        log += page
    return log


def check_log_gives_state(store: Store) -> None:
    """Verify the chain, replay the log and compare with what is stored."""
    log = whole_log(store)
    assert [line.seq for line in log] == list(range(1, len(log) + 1))
    assert not isinstance(verify(log), Break)
    jobs = {job.id: job for job in store.jobs(limit=1_000_000)}
    audit = LogAudit({}, lambda job: jobs[job].spec.count)
    lines: dict[str, list[StoredEvent]] = {job: [] for job in jobs}
    for line in log:
        assert list(audit.take(line)) == []
        if line.job_id:
            lines[line.job_id].append(line)
    asked: dict[str, int] = {}
    for line in log:
        if line.event == "cancel-requested":
            asked.setdefault(line.job_id, line.seq)
    for name, job in jobs.items():
        digest = sha256(to_json(job.spec).encode()).hexdigest()
        assert list(job_findings(KeptJob(job, digest, asked.get(name)), lines[name])) == []
    pending = [name for name in asked if not jobs[name].status.ended]
    assert store.pending_cancels() == pending
    drained = [line.data["site"] for line in log if line.event == "site-drained"]
    assert store.drained().keys() <= set(drained)
    leader = store.leader()
    if leader is not None:
        epochs = [line.data["epoch"] for line in log if line.event == "leader-began"]
        assert leader.epoch == epochs[-1]
