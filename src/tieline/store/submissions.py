"""Writes about jobs: submissions, requests for their end, steps of their lives."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from sqlalchemy import bindparam, select

from tieline.control.changes import changed, event_data
from tieline.control.lifecycle import Status
from tieline.control.ports import Change, JobRecord
from tieline.model.errors import ConflictError, InputError
from tieline.model.job import JobSpec
from tieline.store.ledger import Ledger
from tieline.store.records import job_id, to_json
from tieline.store.rows import MOVING, RECORD, job_records, moving, present
from tieline.store.schema import JOBS, SUBMISSIONS

SUBMITTED: Final = "submitted"
CANCEL_REQUESTED: Final = "cancel-requested"

_MOVE: Final = (
    JOBS.update()
    .where(JOBS.c.seq == bindparam("this"))
    .values({name: bindparam(name) for name in MOVING})
)
_ASKED: Final = select(JOBS.c.cancel_requested).where(JOBS.c.seq == bindparam("this"))
_ASK: Final = (
    JOBS.update()
    .where(JOBS.c.seq == bindparam("this"))
    .values(cancel_requested=bindparam("position"))
)
_EARLIER: Final = (
    select(*RECORD)
    .join_from(SUBMISSIONS, JOBS, JOBS.c.seq >= SUBMISSIONS.c.first_job)
    .where(
        SUBMISSIONS.c.key == bindparam("key"),
        JOBS.c.seq < SUBMISSIONS.c.first_job + SUBMISSIONS.c.jobs,
    )
    .order_by(JOBS.c.seq)
)


def add_jobs(
    ledger: Ledger, specs: Sequence[JobSpec], now: float, key: str | None, by: str
) -> list[JobRecord]:
    """Store jobs as queued and give them, or those that the key gave earlier.

    Raises
    ------
    ConflictError
        The key was used for other specs.
    """
    if key is not None and (earlier := job_records(ledger.under_key(_EARLIER, key))):
        if [job.spec for job in earlier] != list(specs):
            raise ConflictError(
                f"key {key!r} was used for another submission, that of job "
                f"{earlier[0].id}; use a new key"
            )
        return earlier
    first = ledger.next_job()
    records = [
        JobRecord(job_id(seq), seq, spec, Status.QUEUED, now, version=0)
        for seq, spec in enumerate(specs, first)
    ]
    said = {name: value for name, value in (("key", key), ("by", by)) if value}
    # Jobs submitted many at a time are often the same.
    texts = {id(spec): to_json(spec) for spec in specs}
    digests = {one: sha256(text.encode()).hexdigest() for one, text in texts.items()}
    rows = []
    for job in records:
        fixed = {"spec": texts[id(job.spec)], "tenant": job.spec.tenant, "submitted_at": now}
        rows.append({"seq": job.seq, **fixed, **moving(job)})
        ledger.log(now, job.seq, SUBMITTED, {**said, "spec_sha256": digests[id(job.spec)]})
    ledger.add_jobs(rows)
    if key is not None:
        ledger.add_submission(key, {"key": key, "first_job": first, "jobs": len(records)})
    return records


def request_cancel(ledger: Ledger, name: str, now: float, by: str) -> JobRecord:
    """Note that a user wants the job's end; the status stays until `CANCEL` is recorded.

    Raises
    ------
    NotFoundError
        No such job.
    """
    connection = ledger.connection()
    job = present(connection, {name})[name]
    asked = connection.execute(_ASKED, {"this": job.seq}).scalar()
    if asked is None and not job.status.ended:
        position = ledger.log(now, job.seq, CANCEL_REQUESTED, {"by": by} if by else {})
        connection.execute(_ASK, {"this": job.seq, "position": position})
    return job


def record(ledger: Ledger, changes: Sequence[Change]) -> list[JobRecord]:
    """Apply all changes through the life-cycle table and give the new records.

    Raises
    ------
    ConflictError
        A version has moved on, or the table does not allow an event.
    NotFoundError
        No such job.
    """
    connection = ledger.connection()
    now = present(connection, {change.job_id for change in changes})
    told = [_storable(change) for change in changes]
    after = []
    for change in told:
        now[change.job_id] = changed(now[change.job_id], change)
        after.append(now[change.job_id])
    connection.execute(_MOVE, [{"this": job.seq} | moving(job) for job in now.values()])
    for change, job in zip(told, after, strict=True):
        ledger.log(change.at, job.seq, change.event.name.lower(), event_data(change, job))
    return after


def _storable(change: Change) -> Change:
    detail = storable(change.detail)
    return change if detail == change.detail else replace(change, detail=detail)


def demand_storable(*texts: str) -> None:
    """Refuse names with characters that a database refuses, before it is asked.

    Raises
    ------
    InputError
        One of them has such a character.
    """
    for text in texts:
        if storable(text) != text:
            raise InputError(f"{text!r} has a character that cannot be stored; leave it out")


def storable(text: str) -> str:
    """Give the text without what a database refuses: a site may say anything.

    No database takes half a surrogate pair, and PostgreSQL no NUL.
    """
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
