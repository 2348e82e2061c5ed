"""Rows of the tables to records of the ports and back, and reading jobs by their ids."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, func, select

from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord, StoredEvent
from tieline.model.errors import NotFoundError
from tieline.store.records import job_id, job_seq, spec_from_json
from tieline.store.schema import JOBS

#: Columns of a record, in the order in which `job_record` takes them.
RECORD: Final = (
    JOBS.c.seq,
    JOBS.c.spec,
    JOBS.c.status,
    JOBS.c.submitted_at,
    JOBS.c.version,
    JOBS.c.attempt,
    JOBS.c.pool,
    JOBS.c.placed_at,
    JOBS.c.started_at,
    JOBS.c.ended_at,
    JOBS.c.exit_code,
    JOBS.c.detail,
    JOBS.c.count,
    JOBS.c.stops,
    JOBS.c.left_s,
)
#: Columns a transition writes.
MOVING: Final = tuple(
    column.name for column in RECORD if column.name not in ("seq", "spec", "submitted_at")
)
#: Job numbers in one query; every database takes this many parameters.
_CHUNK: Final = 1000


def last(connection: Connection, table: Table) -> int:
    """Give the largest number in use; 0 when the table is empty."""
    return connection.execute(select(func.max(table.c.seq))).scalar() or 0


def present(connection: Connection, names: set[str]) -> dict[str, JobRecord]:
    """Give the jobs of these ids.

    Raises
    ------
    NotFoundError
        One of them is not there.
    """
    seqs = [seq for name in names if (seq := job_seq(name)) is not None]
    found: dict[str, JobRecord] = {}
    for start in range(0, len(seqs), _CHUNK):
        query = select(*RECORD).where(JOBS.c.seq.in_(seqs[start : start + _CHUNK]))
        found.update((job.id, job) for job in job_records(connection.execute(query)))
    for name in sorted(names - found.keys()):
        raise NotFoundError(f"there is no job {name!r}")
    return found


def moving(job: JobRecord) -> dict[str, object]:
    """Give the columns that a transition writes."""
    return {name: getattr(job, name) for name in MOVING}


def job_records(rows: Iterable[Row[Any]]) -> list[JobRecord]:
    """Give the records of rows with the columns of `RECORD`."""
    return [job_record(row) for row in rows]


def job_record(row: Sequence[Any]) -> JobRecord:
    """Give the record of a row with the columns of `RECORD`."""
    seq, spec, status, submitted_at, *rest = row
    return JobRecord(job_id(seq), seq, spec_from_json(spec), Status(status), submitted_at, *rest)


def event(row: Row[Any]) -> StoredEvent:
    """Give the line of the log in a row of `EVENTS`."""
    job = "" if row.job is None else job_id(row.job)
    return StoredEvent(row.seq, row.at, job, row.event, json.loads(row.data), row.hash)
