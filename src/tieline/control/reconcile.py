"""What a site reports against what the store says: the events that bring them together.

Pure: records and reports in, changes out. The loop writes the changes, then tells the
scheduler which jobs ended.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tieline.control.lifecycle import TRANSITIONS, Event, Status
from tieline.control.ports import Change, JobRecord, RunPhase, RunReport

#: What each phase of a run means for its job.
_EVENTS: Final = {
    RunPhase.RUNNING: Event.STARTED,
    RunPhase.SUCCEEDED: Event.SUCCEEDED,
    RunPhase.FAILED: Event.FAILED,
    RunPhase.STOPPED: Event.STOPPED,
    RunPhase.VANISHED: Event.FENCED,
}


def reconcile(
    records: Iterable[JobRecord], reports: Mapping[str, RunReport], now: float
) -> list[Change]:
    """Give one change for every job whose report says more than its record.

    Parameters
    ----------
    records
        Jobs that hold accelerators at one site (`Status.holds_accelerators`).
    reports
        All the site knows, by token; a job whose token is absent gives no change: it is
        submitted again (`missing`).
    """
    changes = []
    for record in records:
        report = reports.get(record.token)
        event = None if report is None else _EVENTS.get(report.phase)
        if report is None or event is None:
            continue
        if TRANSITIONS.get((record.status, event)) in (None, record.status):
            continue
        changes.append(
            Change(
                job_id=record.id,
                version=record.version,
                event=event,
                at=now,
                started_at=report.started_at,
                ended_at=report.ended_at,
                exit_code=report.exit_code,
                detail=report.detail,
            )
        )
    return changes


def missing(records: Iterable[JobRecord], reports: Mapping[str, RunReport]) -> list[JobRecord]:
    """Give the submitted jobs whose token the site does not know: the engine must be asked again.

    Only `submitted` jobs: a running or unknown one was seen at the site before, so that its
    absence is the site's loss of memory, not ours to answer with a second run.
    """
    return [
        record
        for record in records
        if record.status is Status.SUBMITTED and record.token not in reports
    ]


def silent(records: Iterable[JobRecord], now: float) -> list[Change]:
    """Give the changes for jobs at a site that does not answer: their state is unknown."""
    return [
        Change(record.id, record.version, Event.SILENCE, now)
        for record in records
        if record.status in (Status.SUBMITTED, Status.RUNNING)
    ]
