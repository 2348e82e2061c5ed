"""What a site reports against what the store says: the events that bring them together.

Pure: records and reports in, changes out. The loop writes the changes, then tells the
scheduler which jobs ended.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from tieline.control.lifecycle import TRANSITIONS, Event, Status
from tieline.control.ports import Change, JobRecord, RunPhase, RunReport
from tieline.model.units import format_duration

#: A job whose every attempt was lost is given up after so many.
MAX_ATTEMPTS: Final = 5

_GOES_ON: Final = "it has stopped, and goes on later"
_AT_WORK: Final = (Status.SUBMITTED, Status.RUNNING, Status.STOPPING, Status.UNKNOWN)
_ALIVE: Final = (RunPhase.ACCEPTED, RunPhase.RUNNING)

#: What each phase of a run means for its job.
_EVENTS: Final = {
    RunPhase.ACCEPTED: Event.ACCEPTED,
    RunPhase.RUNNING: Event.STARTED,
    RunPhase.SUCCEEDED: Event.SUCCEEDED,
    RunPhase.FAILED: Event.FAILED,
    RunPhase.STOPPED: Event.STOPPED,
    RunPhase.EVICTED: Event.EVICTED,
    RunPhase.VANISHED: Event.FENCED,
}


def reconcile(
    records: Iterable[JobRecord],
    reports: Mapping[str, RunReport],
    now: float,
    told_to_end: Collection[str] = (),
) -> list[Change]:
    """Give one change for every job of which the site says more than its record.

    Parameters
    ----------
    records
        Jobs that hold accelerators at one site (`Status.holds_accelerators`).
    reports
        All the site knows, by token.
    told_to_end
        Tokens whose end the site had been asked for before it reported. One that it does
        not know has not started and never will.
    """
    found = (
        _absent(record, now, told=record.token in told_to_end)
        if (report := reports.get(record.token)) is None
        else _reported(record, report, now)
        for record in records
    )
    return [change for change in found if change is not None]


def _reported(record: JobRecord, report: RunReport, now: float) -> Change | None:
    event = _EVENTS[report.phase]
    if event is Event.EVICTED and not _may_run_again(record):
        event = Event.FENCED
    after = TRANSITIONS.get((record.status, event))
    news = record.status is Status.STOPPING and record.started_at is None
    if after is None or (after is record.status and not news):
        return None
    return Change(
        job_id=record.id,
        version=record.version,
        event=event,
        at=now,
        started_at=report.started_at,
        ended_at=report.ended_at,
        exit_code=report.exit_code,
        detail=_GOES_ON if record.status is Status.STOPPING else report.detail,
    )


def _may_run_again(record: JobRecord) -> bool:
    """Whether another attempt may follow one that has ended without a result."""
    return record.spec.preemptible or record.spec.idempotent


def _absent(record: JobRecord, now: float, *, told: bool) -> Change | None:
    """Give the change for a job whose token the site does not know; see `missing` too."""
    if record.status is Status.CANCELLING and told:
        detail = "cancelled before it started"
        return Change(record.id, record.version, Event.FENCED, now, detail=detail)
    # One that was seen running may run on, whatever the site says it does not know.
    if record.status is Status.STOPPING and told and record.started_at is None:
        return Change(record.id, record.version, Event.FENCED, now, detail=_GOES_ON)
    if record.status is Status.RUNNING:
        detail = "the site does not know the run any more"
        return Change(record.id, record.version, Event.SILENCE, now, detail=detail)
    return None


def missing(records: Iterable[JobRecord], reports: Mapping[str, RunReport]) -> list[JobRecord]:
    """Give the jobs never seen at the site whose token it does not know: it must be asked again.

    A job that was seen running is not among them: its absence is the site's loss of memory,
    not ours to answer with a second run.
    """
    return [
        record
        for record in records
        if record.status in (Status.SUBMITTED, Status.UNKNOWN)
        and record.started_at is None
        and record.token not in reports
    ]


def resolve_lost(records: Iterable[JobRecord], now: float) -> list[Change]:
    """Give what becomes of lost jobs, whose attempts are known to have stopped.

    One that may be stopped goes on from what it saved, and an idempotent one begins again.
    Another one may have run in part and is never run twice: it has failed, and its user decides.
    """
    return [_resolved(record, now) for record in records]


def _resolved(record: JobRecord, now: float) -> Change:
    cause = record.detail or "its run ended without a result"
    if not _may_run_again(record):
        mend = "it may have run in part: submit it again, or declare it idempotent"
        return Change(record.id, record.version, Event.ABANDONED, now, detail=f"{cause}; {mend}")
    lost = record.attempt - record.stops
    if lost >= MAX_ATTEMPTS:
        detail = f"{cause}; {lost} attempts were lost"
        return Change(record.id, record.version, Event.ABANDONED, now, detail=detail)
    return Change(record.id, record.version, Event.REQUEUED, now, detail=cause)


def silent(records: Iterable[JobRecord], now: float) -> list[Change]:
    """Give the changes for jobs at a site that does not answer: their state is unknown."""
    detail = "the site does not answer"
    return [
        Change(record.id, record.version, Event.SILENCE, now, detail=detail)
        for record in records
        if record.status in (Status.SUBMITTED, Status.RUNNING)
    ]


def given_up(
    records: Iterable[JobRecord],
    now: float,
    silent_s: float,
    lease_s: float | None,
    elsewhere_after_s: float,
) -> list[Change]:
    """Give the changes for jobs of a silent site that need not wait for it any longer.

    Those that may be run again, once the site itself has ended them; and idempotent ones after
    some patience, whatever became of their run: a second one does no harm. All others wait for
    as long as it takes.

    Parameters
    ----------
    silent_s
        How long the site has surely been without any sign of us [s].
    lease_s
        `Engine.lease_s`.
    """
    silence = f"its site has been silent for {format_duration(silent_s)}"
    found = []
    for record in records:
        if lease_s is not None and silent_s >= lease_s and _may_run_again(record):
            detail = f"{silence} and has ended the run"
        elif silent_s >= elsewhere_after_s and _may_move(record):
            detail = f"{silence}; a second run does no harm"
        else:
            continue
        found.append(Change(record.id, record.version, Event.FENCED, now, detail=detail))
    return found


def _may_move(record: JobRecord) -> bool:
    return record.spec.idempotent and record.status in _AT_WORK


def strays(held: Collection[str], reports: Mapping[str, RunReport]) -> list[str]:
    """Give the tokens that are alive at a site and are not the present attempt of a job there.

    Parameters
    ----------
    held
        Tokens of the jobs that hold accelerators at the site.
    """
    return [
        token for token, report in reports.items() if report.phase in _ALIVE and token not in held
    ]


def forgettable(reports: Mapping[str, RunReport], held: Collection[str], kept: int) -> list[str]:
    """Give the runs whose end is stored and that are not among the newest, of which some stay.

    The end of every run that the site reports must be recorded by now. Those that are alive, as
    strays are until they have been ended, are not among them.
    """
    if len(reports) <= kept + len(held):
        return []
    ended = [
        report
        for token, report in reports.items()
        if token not in held and report.phase not in _ALIVE
    ]
    ended.sort(key=lambda report: (report.ended_at or 0.0, report.token))
    return [report.token for report in ended[: max(0, len(ended) - kept)]]
