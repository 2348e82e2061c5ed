"""What one change does to the record of a job, and how the event log tells it. Pure.

The store writes by these rules, and the audit replays the log by them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tieline.control.lifecycle import Event, Status, advance
from tieline.control.ports import Change, JobRecord, StoredEvent
from tieline.model.errors import ConflictError

#: What a job that waits again has no more.
_WAITS_AGAIN: Final = dict.fromkeys(("pool", "count", "placed_at", "started_at"))
#: What a change may bring, and the log tells where it does.
_TOLD: Final = ("pool", "count", "left_s", "started_at", "ended_at", "exit_code", "detail")


def changed(record: JobRecord, change: Change) -> JobRecord:
    """Give the record after the change.

    `PLACED` begins an attempt on a pool, and what leads back to the queue takes it back; times
    and the exit code are those of the present attempt. `detail` is what the latest change said.

    Raises
    ------
    ConflictError
        The record has another version, or its status does not allow the event.
    """
    if record.version != change.version:
        raise ConflictError(
            f"job {record.id} is at version {record.version} ({record.status.name.lower()}), "
            f"not {change.version}: {change.event.name.lower()} was decided on an older state"
        )
    try:
        status = advance(record.status, change.event)
    except ConflictError as error:
        raise ConflictError(f"job {record.id}: {error}") from None
    brought = _brought(record, change, status)
    if status.ended:
        brought["ended_at"] = change.at if change.ended_at is None else change.ended_at
        brought["exit_code"] = change.exit_code
    version = record.version + 1
    return replace(record, status=status, version=version, detail=change.detail, **brought)


def _brought(record: JobRecord, change: Change, status: Status) -> dict[str, Any]:
    if change.event is Event.PLACED:
        return _attempt(record, change)
    if status is Status.QUEUED:
        stopped = record.status is Status.STOPPING or change.event is Event.EVICTED
        return _WAITS_AGAIN | {"stops": record.stops + stopped}
    if change.event is Event.PREEMPTED:
        return {"left_s": change.left_s}
    return _times(record, change)


def _attempt(record: JobRecord, change: Change) -> dict[str, Any]:
    if change.pool is None:
        raise ConflictError(f"job {record.id}: placed, but on no pool")
    return {
        "attempt": record.attempt + 1,
        "pool": change.pool,
        "count": change.count,
        "placed_at": change.at,
        "started_at": None,
    }


def _times(record: JobRecord, change: Change) -> dict[str, Any]:
    if change.started_at is not None:
        return {"started_at": change.started_at}
    if change.event is Event.STARTED and record.started_at is None:
        return {"started_at": change.at}
    return {}


def event_data(change: Change, after: JobRecord) -> dict[str, object]:
    """Give what the log keeps of a change besides its name and time."""
    given = {name: getattr(change, name) for name in _TOLD}
    brought = {name: value for name, value in given.items() if value is not None and value != ""}
    return {"version": after.version, "attempt": after.attempt, **brought}


def change_told(line: StoredEvent, version: int) -> Change:
    """Give the change of which a line of the log tells, on this version of its job.

    Raises
    ------
    ConflictError
        The line tells of no event of the life cycle.
    """
    name = line.event.upper()
    if name not in Event.__members__:
        raise ConflictError(f"the life cycle has no event {line.event!r}")
    data: Mapping[str, Any] = line.data
    told = {name: data[name] for name in _TOLD if name in data}
    return Change(line.job_id, version, Event[name], line.at, **told)
