"""The stores under contract: a new implementation joins by a line in `URLS`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tieline.control.lifecycle import Event, Status, advance
from tieline.control.ports import Store, StoredEvent
from tieline.store import open_store

#: Implementation -> URL of a new store; those of `DURABLE` outlive the process.
URLS: Final[dict[str, Callable[[Path], str]]] = {
    "sqlite-file": lambda folder: f"sqlite:///{folder}/store.db",
    "sqlite-memory": lambda _: "sqlite://",
}
DURABLE: Final = ["sqlite-file"]


@pytest.fixture(params=sorted(URLS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Give a new, empty store of each implementation; check it when the test is done."""
    store = open_store(URLS[request.param](tmp_path))
    yield store
    check_log_gives_state(store)
    store.close()


@pytest.fixture(params=DURABLE)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a new store of each implementation that outlives its process."""
    return URLS[request.param](tmp_path)


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
    """Replay the log through the life-cycle table and compare with what is stored."""
    log = whole_log(store)
    assert [line.seq for line in log] == list(range(1, len(log) + 1))
    lived: dict[str, tuple[Status, int]] = {}
    for line in log:
        if line.event == "submitted":
            assert line.job_id not in lived
            lived[line.job_id] = (Status.QUEUED, 0)
        elif line.event != "cancel-requested":
            status, version = lived[line.job_id]
            lived[line.job_id] = (advance(status, Event[line.event.upper()]), version + 1)
            assert line.data["version"] == version + 1
    jobs = store.jobs(limit=1_000_000)
    assert {job.id: (job.status, job.version) for job in jobs} == lived
