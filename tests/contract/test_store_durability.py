"""The contract of stores that outlive their process: nothing acknowledged is ever lost."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Final

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from tieline.control.lifecycle import Event
from tieline.control.ports import Change, JobRecord, Store
from tieline.model.errors import ConflictError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store

SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "python train.py"})


def place(store: Store, job: JobRecord) -> JobRecord:
    """Record a placement and give the job after it."""
    (placed,) = store.record([Change(job.id, job.version, Event.PLACED, 5.0, pool="p/q")])
    return placed


def test_everything_is_there_after_opening_again(store_url: str) -> None:
    """Jobs, requests, keys and the log are the same after a close and a new opening."""
    store = open_store(store_url)
    jobs = store.add_jobs([SPEC, SPEC], now=1.0, key="k")
    store.request_cancel(jobs[1].id, now=2.0)
    placed = place(store, jobs[0])
    log = store.events()
    store.close()
    store.close()
    store = open_store(store_url)
    assert store.open_jobs() == (len(log), [placed, jobs[1]])
    assert store.pending_cancels() == [jobs[1].id]
    assert store.add_jobs([SPEC, SPEC], now=3.0, key="k") == [placed, jobs[1]]
    assert store.events() == log
    store.close()


def test_two_openings_are_one_store(store_url: str) -> None:
    """What is written through one opening is at once seen, and guarded, through another."""
    api, loop = open_store(store_url), open_store(store_url)
    (job,) = api.add_jobs([SPEC], now=1.0)
    assert loop.news(0).submitted == (job,)
    place(loop, job)
    with pytest.raises(ConflictError, match=job.id):
        api.record([Change(job.id, job.version, Event.CANCEL, 6.0)])
    api.close()
    loop.close()


WRITER: Final = """
import json, sys
from tieline.control.lifecycle import Event
from tieline.control.ports import Change
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store

store = open_store(sys.argv[1])
spec = JobSpec("lab-a", Workload("training"), 1, {"cuda": "true"})
for turn in range(100_000):
    jobs = store.add_jobs([spec] * 3, now=float(turn), key=f"{sys.argv[2]}-{turn}")
    placed = [Change(job.id, 0, Event.PLACED, float(turn), pool="p/q") for job in jobs[:2]]
    jobs[:2] = store.record(placed)
    store.request_cancel(jobs[2].id, now=float(turn))
    print(json.dumps([(job.id, job.version) for job in jobs]), flush=True)
"""


def test_what_was_acknowledged_outlives_sigkill(
    store_url: str, check_store: Callable[[Store], None]
) -> None:
    """A writer killed with SIGKILL loses nothing it acknowledged and leaves nothing half."""
    rng = random.Random(20)  # noqa: S311 - moments of a test
    acknowledged: dict[str, int] = {}
    for life in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, store_url, str(life)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(rng.randint(1, 40))]
            writer.kill()
            lines += writer.stdout.readlines()
        for line in lines:
            if line.endswith("\n"):
                acknowledged.update(json.loads(line))
    store = open_store(store_url)
    stored = {job.id: job for job in store.jobs(limit=1_000_000)}
    assert acknowledged
    for job_id, version in acknowledged.items():
        assert stored[job_id].version == version
    assert len(stored) % 3 == 0
    assert len(stored) <= len(acknowledged) + 3 * 4
    asked = {job_id for job_id, version in acknowledged.items() if version == 0}
    assert asked <= set(store.pending_cancels())
    check_store(store)
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET at = 0",
        "UPDATE events SET data = '{}' WHERE seq = 1",
        "DELETE FROM events",
        "DELETE FROM events WHERE seq = 2",
        "INSERT INTO events VALUES (9, 1, 1, 'placed', '{}', 'x')",
        "INSERT INTO events VALUES (9, 1, NULL, 'site-drained', '{}', 'x')",
        "INSERT OR REPLACE INTO events VALUES (1, 1, 1, 'placed', '{}', 'x')",
        "TRUNCATE events",
        "TRUNCATE jobs CASCADE",
        "UPDATE jobs SET spec = '{}'",
        "UPDATE jobs SET submitted_at = 0",
        "UPDATE jobs SET tenant = 'lab-c'",
        "DELETE FROM jobs",
    ],
)
def test_the_past_cannot_be_changed(store_url: str, statement: str) -> None:
    """The database itself refuses, to anyone, to change the log or what was submitted."""
    store = open_store(store_url)
    (job,) = store.add_jobs([SPEC], now=1.0)
    place(store, job)
    before = (store.events(), store.jobs())
    engine = create_engine(store_url.replace("postgresql:", "postgresql+psycopg:"))
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    assert (store.events(), store.jobs()) == before
    store.close()
