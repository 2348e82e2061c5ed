"""The store on SQL: each method is one transaction.

Every write goes through `Database.writing`, one at a time, so the next number of a job or an
event is the largest plus one: numbers have no gaps and appear in order.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, bindparam, func, select

from tieline.control.lifecycle import Status
from tieline.control.ports import Change, JobRecord, News, StoredEvent
from tieline.model.errors import ConflictError, NotFoundError
from tieline.model.job import JobSpec
from tieline.store.database import Database
from tieline.store.records import (
    changed,
    event_data,
    job_id,
    job_seq,
    spec_from_json,
    to_json,
)
from tieline.store.schema import EVENTS, JOBS, SUBMISSIONS

SUBMITTED: Final = "submitted"
CANCEL_REQUESTED: Final = "cancel-requested"

#: Columns of a record, in the order in which `_record` takes them.
_RECORD: Final = (
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
_MOVING: Final = tuple(
    column.name for column in _RECORD if column.name not in ("seq", "spec", "submitted_at")
)
_OPEN: Final = [status for status in Status if not status.ended]
#: Job numbers in one query; every database takes this many parameters.
_CHUNK: Final = 1000

#: One line for the log: time, job number, event, data.
_Line = tuple[float, int, str, Mapping[str, object]]


class SqlStore:
    """The `Store` port on a database; `tieline.store.open_store` makes one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_jobs(
        self, specs: Sequence[JobSpec], *, now: float, key: str | None = None
    ) -> list[JobRecord]:
        """Store jobs as queued and give them, in order; they survive a crash from here on.

        Idempotent by `key`: a second call with the same key and specs gives the first
        call's jobs, as they are now.

        Raises
        ------
        ConflictError
            The key was used for other specs; nothing is stored.
        """
        if not specs:
            return []
        texts = [to_json(spec) for spec in specs]
        with self._database.writing() as connection:
            if key is not None and (earlier := _submission(connection, key)):
                if [job.spec for job in earlier] != list(specs):
                    raise ConflictError(
                        f"key {key!r} was used for another submission, that of job "
                        f"{earlier[0].id}; use a new key"
                    )
                return earlier
            first = _last(connection, JOBS) + 1
            records = [
                JobRecord(job_id(seq), seq, spec, Status.QUEUED, now, version=0)
                for seq, spec in enumerate(specs, first)
            ]
            rows = [
                {"seq": job.seq, "spec": text, "tenant": job.spec.tenant, "submitted_at": now}
                | _moving(job)
                for job, text in zip(records, texts, strict=True)
            ]
            connection.execute(JOBS.insert(), rows)
            given = {} if key is None else {"key": key}
            _log(connection, [(now, job.seq, SUBMITTED, given) for job in records])
            if key is not None:
                row = {"key": key, "first_job": first, "jobs": len(records)}
                connection.execute(SUBMISSIONS.insert(), row)
        return records

    def request_cancel(self, job_id: str, *, now: float) -> JobRecord:
        """Note that a user wants the job's end. Idempotent; an ended job stays as it is.

        The status stays too, until `CANCEL` is recorded.
        """
        with self._database.writing() as connection:
            job = _job(connection, job_id)
            this = JOBS.c.seq == job.seq
            asked = connection.execute(select(JOBS.c.cancel_requested).where(this)).scalar()
            if asked is None and not job.status.ended:
                position = _log(connection, [(now, job.seq, CANCEL_REQUESTED, {})])
                connection.execute(JOBS.update().where(this).values(cancel_requested=position))
        return job

    def news(self, position: int) -> News:
        """Give submissions and cancel requests after `position`, in order; 0 is the start.

        A job that has moved on since is given as it is now.
        """
        lines = (
            select(EVENTS.c.event, *_RECORD)
            .join_from(EVENTS, JOBS, EVENTS.c.job == JOBS.c.seq)
            .where(EVENTS.c.seq > position)
            .where(EVENTS.c.event.in_((SUBMITTED, CANCEL_REQUESTED)))
            .order_by(EVENTS.c.seq)
        )
        with self._database.reading() as connection:
            last = _last(connection, EVENTS)
            rows = connection.execute(lines).all()
        return News(
            position=last,
            submitted=tuple(_record(row[1:]) for row in rows if row[0] == SUBMITTED),
            cancel=tuple(job_id(row[1]) for row in rows if row[0] == CANCEL_REQUESTED),
        )

    def open_jobs(self) -> tuple[int, list[JobRecord]]:
        """Give the log position and every job that has not ended, by `seq`, in one snapshot."""
        query = select(*_RECORD).where(JOBS.c.status.in_(_OPEN)).order_by(JOBS.c.seq)
        with self._database.reading() as connection:
            return _last(connection, EVENTS), _records(connection.execute(query))

    def pending_cancels(self) -> list[str]:
        """Give the ids of jobs whose end was asked for and that have not ended, as asked."""
        query = (
            select(JOBS.c.seq)
            .where(JOBS.c.status.in_(_OPEN), JOBS.c.cancel_requested.is_not(None))
            .order_by(JOBS.c.cancel_requested)
        )
        with self._database.reading() as connection:
            return [job_id(seq) for seq in connection.execute(query).scalars()]

    def record(self, changes: Sequence[Change]) -> list[JobRecord]:
        """Apply all changes through the life-cycle table, or none; give the new records.

        One record per change, in order. Several changes of one job follow each other, each
        with the version that the one before it left.
        """
        if not changes:
            return []
        with self._database.writing() as connection:
            now = _present(connection, {change.job_id for change in changes})
            after = []
            for change in changes:
                now[change.job_id] = changed(now[change.job_id], change)
                after.append(now[change.job_id])
            update = JOBS.update().where(JOBS.c.seq == bindparam("this"))
            connection.execute(
                update.values({name: bindparam(name) for name in _MOVING}),
                [{"this": job.seq} | _moving(job) for job in now.values()],
            )
            _log(
                connection,
                [
                    (change.at, job.seq, change.event.name.lower(), event_data(change, job))
                    for change, job in zip(changes, after, strict=True)
                ],
            )
        return after

    def job(self, job_id: str) -> JobRecord:
        """Give one job.

        Raises
        ------
        NotFoundError
            No such job.
        """
        with self._database.reading() as connection:
            return _job(connection, job_id)

    def jobs(
        self,
        *,
        status: Sequence[Status] = (),
        tenant: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[JobRecord]:
        """Give at most `limit` jobs, newest first, with `seq` below `before` where given."""
        query = select(*_RECORD).order_by(JOBS.c.seq.desc()).limit(limit)
        if status:
            query = query.where(JOBS.c.status.in_(status))
        if tenant is not None:
            query = query.where(JOBS.c.tenant == tenant)
        if before is not None:
            query = query.where(JOBS.c.seq < before)
        with self._database.reading() as connection:
            return _records(connection.execute(query))

    def events(
        self, job_id: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[StoredEvent]:
        """Give at most `limit` events after the position, in order, of one job or of all."""
        query = select(EVENTS).where(EVENTS.c.seq > after).order_by(EVENTS.c.seq).limit(limit)
        if job_id is not None:
            query = query.where(EVENTS.c.job == job_seq(job_id))
        with self._database.reading() as connection:
            return [_event(row) for row in connection.execute(query)]

    def close(self) -> None:
        """Release files and connections. Idempotent."""
        self._database.close()


def _last(connection: Connection, table: Table) -> int:
    """Give the largest number in use; 0 when the table is empty."""
    return connection.execute(select(func.max(table.c.seq))).scalar() or 0


def _log(connection: Connection, lines: Sequence[_Line]) -> int:
    """Append to the event log and give the position after it."""
    last = _last(connection, EVENTS)
    rows = [
        {"seq": seq, "at": at, "job": job, "event": event, "data": to_json(data)}
        for seq, (at, job, event, data) in enumerate(lines, last + 1)
    ]
    connection.execute(EVENTS.insert(), rows)
    return last + len(rows)


def _job(connection: Connection, name: str) -> JobRecord:
    return _present(connection, {name})[name]


def _present(connection: Connection, names: set[str]) -> dict[str, JobRecord]:
    """Give the jobs of these ids.

    Raises
    ------
    NotFoundError
        One of them is not there.
    """
    seqs = [seq for name in names if (seq := job_seq(name)) is not None]
    found: dict[str, JobRecord] = {}
    for start in range(0, len(seqs), _CHUNK):
        query = select(*_RECORD).where(JOBS.c.seq.in_(seqs[start : start + _CHUNK]))
        found.update((job.id, job) for job in _records(connection.execute(query)))
    for name in sorted(names - found.keys()):
        raise NotFoundError(f"there is no job {name!r}")
    return found


def _submission(connection: Connection, key: str) -> list[JobRecord]:
    """Give the jobs of an earlier submission; none when the key is new."""
    kept = SUBMISSIONS.c
    query = (
        select(*_RECORD)
        .join_from(SUBMISSIONS, JOBS, JOBS.c.seq >= kept.first_job)
        .where(kept.key == key, JOBS.c.seq < kept.first_job + kept.jobs)
        .order_by(JOBS.c.seq)
    )
    return _records(connection.execute(query))


def _moving(job: JobRecord) -> dict[str, object]:
    """Give the columns that a transition writes."""
    return {name: getattr(job, name) for name in _MOVING}


def _records(rows: Iterable[Row[Any]]) -> list[JobRecord]:
    return [_record(row) for row in rows]


def _record(row: Sequence[Any]) -> JobRecord:
    seq, spec, status, submitted_at, *rest = row
    return JobRecord(job_id(seq), seq, spec_from_json(spec), Status(status), submitted_at, *rest)


def _event(row: Row[Any]) -> StoredEvent:
    return StoredEvent(row.seq, row.at, job_id(row.job), row.event, json.loads(row.data))
