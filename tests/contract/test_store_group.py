"""Writes of several threads share a transaction, and nothing of one another's fate."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import pytest
from sqlalchemy import create_engine, text

from tieline.control.lifecycle import Event, Status
from tieline.control.ports import Change, JobRecord, Store
from tieline.model.errors import ConflictError, NotFoundError, StoreUnavailable
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store, postgres, sqlite
from tieline.store.address import connect

SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "python train.py"})


@contextmanager
def writers_wait(url: str) -> Iterator[None]:
    """Hold the writers' lock, as another process would, so that all writes queue up."""
    database = connect(url)
    with database.writing():
        yield
    database.close()


def queued_up(store: Store, writes: int) -> None:
    """Wait until so many writes are in the queue of a store."""
    queue = store._write._queue  # type: ignore[attr-defined]  # noqa: SLF001 - no other way
    give_up = threading.Event()
    for _ in range(3000):
        if len(queue) == writes:
            return
        give_up.wait(0.01)
    raise TimeoutError(f"{len(queue)} of {writes} writes wait")


def test_writes_that_wait_share_a_transaction(store_url: str) -> None:
    """Of writes that came while another was made, all are made in one transaction."""
    store = open_store(store_url)
    with ThreadPoolExecutor(20) as pool:
        with writers_wait(store_url):
            calls = [pool.submit(store.add_jobs, [SPEC], now=1.0) for _ in range(20)]
            queued_up(store, 20)
        seqs = sorted(call.result()[0].seq for call in calls)
    assert seqs == list(range(1, 21))
    assert [line.seq for line in store.events()] == seqs
    if store_url.startswith("postgresql"):
        engine = create_engine(store_url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            found = connection.execute(text("SELECT DISTINCT xmin::text FROM jobs")).all()
        engine.dispose()
        assert len(found) == 2  # the first one did not know that others would come
    store.close()


def test_one_that_fails_takes_none_with_it(store_url: str) -> None:
    """Among writes of one transaction, each has its own result or its own error."""
    store = open_store(store_url)
    (job,) = store.add_jobs([SPEC], now=1.0, key="used")
    other = replace(SPEC, count=1)
    place = Change(job.id, 0, Event.PLACED, 2.0, pool="p/q")
    with ThreadPoolExecutor(9) as pool, writers_wait(store_url):
        good = [pool.submit(store.add_jobs, [SPEC] * 2, now=1.0, key="new")]
        queued_up(store, 1)
        bad: list[Future[object]] = []
        for number, call in enumerate(
            [
                lambda: store.add_jobs([other], now=1.0, key="used"),
                lambda: store.add_jobs([other], now=1.0, key="new"),
                lambda: store.request_cancel("job-000999", now=1.0),
                lambda: store.record([place, replace(place, job_id="job-000099")]),
                lambda: store.record([replace(place, version=4)]),
            ]
        ):
            bad.append(pool.submit(call))
            queued_up(store, 2 + number)
        good.append(pool.submit(store.add_jobs, [SPEC] * 2, now=1.0, key="new"))
        queued_up(store, 7)
        moved: Future[list[JobRecord]] = pool.submit(store.record, [place])
        queued_up(store, 8)
        asked = pool.submit(store.request_cancel, job.id, now=3.0)
        queued_up(store, 9)
    kinds = [ConflictError, ConflictError, NotFoundError, NotFoundError, ConflictError]
    assert [type(call.exception()) for call in bad] == kinds
    assert good[0].result() == good[1].result() == store.jobs(limit=2)[::-1]
    assert moved.result()[0].status is asked.result().status is Status.SUBMITTED
    assert store.pending_cancels() == [job.id]
    assert len(store.jobs()) == 3
    events = [line.event for line in store.events()]
    assert events == ["submitted"] * 3 + ["placed", "cancel-requested"]
    store.close()


def test_when_the_store_is_away_all_that_wait_hear_of_it(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the transaction cannot be made, each of its writes says so, and none was made."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.5)
    monkeypatch.setitem(postgres.SESSION, "lock_timeout", "500ms")
    store = open_store(store_url)
    with ThreadPoolExecutor(5) as pool, writers_wait(store_url):
        calls = [pool.submit(store.add_jobs, [SPEC], now=1.0, key=f"{i}") for i in range(5)]
        errors = [call.exception(timeout=60) for call in calls]
    assert {type(error) for error in errors} == {StoreUnavailable}
    assert len({id(error) for error in errors}) == 5
    assert store.jobs() == []
    assert store.add_jobs([SPEC], now=1.0, key="0")[0].seq == 1
    store.close()
