"""Records to rows and back: job ids, specs as JSON, and what one change does to a record."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, Final

from tieline.control.lifecycle import Event, Status, advance
from tieline.control.ports import Change, JobRecord
from tieline.model.errors import ConflictError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload

_ID: Final = "job-{:06d}"

#: What a job that waits again has no more.
_WAITS_AGAIN: Final = dict.fromkeys(("pool", "count", "placed_at", "started_at"))


def job_id(seq: int) -> str:
    """Give the id of the seq-th job: `job-000123`; beyond a million it grows a digit."""
    return _ID.format(seq)


def job_seq(text: str) -> int | None:
    """Give the number in a job id; None when it is not an id that `job_id` gives."""
    digits = text.removeprefix("job-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:  # noqa: PLR2004
        return None
    seq = int(digits)
    return seq if job_id(seq) == text else None


def to_json(value: object) -> str:
    """Give compact JSON; dataclasses and mappings become objects, sets sorted lists.

    Raises
    ------
    ValueError
        A number is not finite: JSON has none of these.
    """
    return _JSON.encode(value)


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_JSON: Final = json.JSONEncoder(default=_plain, separators=(",", ":"), allow_nan=False)


# Jobs submitted many at a time have the same text: they share one spec.
@lru_cache(maxsize=4096)
def spec_from_json(text: str) -> JobSpec:
    """Give the spec that `to_json` wrote, by this version or another.

    A field this version does not know is left out here and stays in the database; one that
    the writer did not know takes its default. So a new field needs a default, and one that
    older code must not overlook comes with a migration, for which older code stops.
    """
    data = _known(JobSpec, json.loads(text))
    workload = _known(Workload, data["workload"])
    workload["rates"] = tuple((name, rate) for name, rate in workload.get("rates", ()))
    data["workload"] = Workload(**workload)
    for name, kind in (("datasets", tuple), ("residency", frozenset)):
        if name in data:
            data[name] = kind(data[name])
    return JobSpec(**data)


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: data[field.name] for field in fields(kind) if field.name in data}


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
        stopped = record.status is Status.STOPPING
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
    given = {
        "pool": change.pool,
        "count": change.count,
        "left_s": change.left_s,
        "started_at": change.started_at,
        "ended_at": change.ended_at,
        "exit_code": change.exit_code,
        "detail": change.detail or None,
    }
    brought = {name: value for name, value in given.items() if value is not None}
    return {"version": after.version, "attempt": after.attempt, **brought}
