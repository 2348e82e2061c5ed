"""What a site reports against what the store says: each pair gives the one right event."""

from dataclasses import replace

import pytest

from tieline.control.lifecycle import Event, Status
from tieline.control.orders import run_order
from tieline.control.ports import JobRecord, RunPhase, RunReport
from tieline.control.reconcile import (
    forgettable,
    given_up,
    missing,
    reconcile,
    resolve_lost,
    silent,
    strays,
)
from tieline.model.errors import OrderRefused
from tieline.model.job import JobSpec
from tieline.model.network import Pool
from tieline.model.workload import Workload

HELD = [status for status in Status if status.holds_accelerators]


def record(
    status: Status,
    *,
    started: float | None = None,
    idempotent: bool = False,
    preemptible: bool = False,
) -> JobRecord:
    """Give the record of a job at a site, in its first attempt."""
    spec = JobSpec("lab", Workload("hpc"), 1, {"cuda": "true"}, idempotent=idempotent)
    spec = replace(spec, preemptible=preemptible)
    return JobRecord(
        "job-000001", 1, spec, status, 0.0, version=3, attempt=1, pool="s/p", started_at=started
    )


def event(status: Status, phase: RunPhase) -> Event | None:
    """Give the event for a job of that status whose run is in that phase."""
    report = RunReport("job-000001.1", phase, started_at=1.0)
    changes = reconcile([record(status)], {report.token: report}, now=5.0)
    return changes[0].event if changes else None


@pytest.mark.parametrize("status", HELD)
def test_an_end_is_an_end_whatever_was_known(status: Status) -> None:
    """Every way a run ends is recorded from every status in which a job can be at a site."""
    assert event(status, RunPhase.SUCCEEDED) is Event.SUCCEEDED
    assert event(status, RunPhase.FAILED) is Event.FAILED
    assert event(status, RunPhase.STOPPED) is Event.STOPPED
    assert event(status, RunPhase.VANISHED) is Event.FENCED


@pytest.mark.parametrize("status", HELD)
def test_nothing_is_written_that_is_known_already(status: Status) -> None:
    """A report that says no more than the record gives no change."""
    says_more = status is Status.UNKNOWN
    assert event(status, RunPhase.ACCEPTED) is (Event.ACCEPTED if says_more else None)
    says_more = status in (Status.SUBMITTED, Status.STOPPING, Status.UNKNOWN)
    assert event(status, RunPhase.RUNNING) is (Event.STARTED if says_more else None)


def test_an_attempt_is_known_by_its_own_token() -> None:
    """What the site says about an earlier attempt is not about the present one."""
    earlier = RunReport("job-000001.0", RunPhase.SUCCEEDED)
    assert reconcile([record(Status.SUBMITTED)], {earlier.token: earlier}, now=5.0) == []


@pytest.mark.parametrize("status", HELD)
def test_an_absent_token_means_what_was_known_before(status: Status) -> None:
    """Never started: ask again. Was running: unknown. Told to end: over. Else nothing."""
    for started in (None, 1.0):
        one = record(status, started=started)
        asked_again = missing([one], {}) == [one]
        assert asked_again == (status in (Status.SUBMITTED, Status.UNKNOWN) and started is None)
        events = [change.event for change in reconcile([one], {}, 5.0)]
        assert events == ([Event.SILENCE] if status is Status.RUNNING else [])
        told = [change.event for change in reconcile([one], {}, 5.0, {one.token})]
        over = status is Status.CANCELLING or (status is Status.STOPPING and started is None)
        assert told == ([Event.FENCED] if over else events)


def test_silence_makes_unknown_what_was_not() -> None:
    """A silent site's submitted and running jobs become unknown; the others stay."""
    changed = [status for status in HELD if silent([record(status)], 5.0)]
    assert changed == [Status.SUBMITTED, Status.RUNNING]


def test_only_a_job_that_may_run_again_does() -> None:
    """A lost job waits again where it saves its state or a second run does no harm; else not."""
    again, goes_on, failed = resolve_lost(
        [
            record(Status.LOST, idempotent=True),
            record(Status.LOST, preemptible=True),
            record(Status.LOST),
        ],
        5.0,
    )
    assert [again.event, goes_on.event] == [Event.REQUEUED] * 2
    assert failed.event is Event.ABANDONED
    assert "declare it idempotent" in failed.detail


@pytest.mark.parametrize("status", HELD)
def test_an_eviction_is_an_end_that_may_be_followed_by_another_attempt(status: Status) -> None:
    """Evicted: waits again where it may, and is lost, which ends it, where it may not."""
    report = RunReport("job-000001.1", RunPhase.EVICTED, started_at=1.0, detail="preempted")
    may = record(status, preemptible=True), record(status, idempotent=True)
    for one in may:
        (change,) = reconcile([one], {report.token: report}, now=5.0)
        assert change.event is Event.EVICTED
    (change,) = reconcile([record(status)], {report.token: report}, now=5.0)
    assert change.event is Event.FENCED


def test_a_silent_site_is_given_up_for_what_may_run_elsewhere() -> None:
    """By the lease what may run again, by patience what may run twice; the rest never is."""
    jobs = [
        record(Status.UNKNOWN, preemptible=True),
        record(Status.UNKNOWN, idempotent=True),
        record(Status.CANCELLING, idempotent=True),
        record(Status.UNKNOWN),
    ]

    def gone(silent_s: float, lease_s: float | None) -> list[bool]:
        changes = given_up(jobs, 5.0, silent_s, lease_s, 300.0)
        assert {change.event for change in changes} <= {Event.FENCED}
        return [any(change.version == one.version for change in changes) for one in jobs]

    for i, one in enumerate(jobs):
        jobs[i] = replace(one, version=i)
    assert gone(599.0, 600.0) == [False, True, False, False]
    assert gone(600.0, 600.0) == [True, True, True, False]
    assert gone(299.0, None) == [False] * 4
    assert gone(1e6, None) == [False, True, False, False]


def test_what_is_alive_and_meant_by_no_job_is_a_stray() -> None:
    """Accepted or running under a token that is not held: a stray; what has ended is none."""
    reports = {f"job-00000{i}.1": RunReport(f"job-00000{i}.1", p) for i, p in enumerate(RunPhase)}
    alive = [one.token for one in reports.values() if one.phase in ("accepted", "running")]
    assert strays(set(), reports) == alive
    assert strays({alive[0]}, reports) == alive[1:]


def test_only_ended_runs_beyond_the_newest_are_forgotten() -> None:
    """Of runs that no job means the oldest ended ones go; what is alive stays, stray or not."""
    reports = {
        token: RunReport(token, phase, ended_at=at)
        for token, phase, at in (
            ("a.1", RunPhase.SUCCEEDED, 3.0),
            ("b.1", RunPhase.EVICTED, 1.0),
            ("c.1", RunPhase.RUNNING, None),
            ("d.1", RunPhase.SUCCEEDED, 2.0),
        )
    }
    assert forgettable(reports, {"d.1"}, 1) == ["b.1"]
    assert forgettable(reports, set(), 1) == ["b.1", "d.1"]
    assert forgettable(reports, set(), 4) == []


def test_an_order_carries_the_command_for_the_pool() -> None:
    """The accelerator's own stack comes first, then the job's in its order; none is refused."""
    spec = JobSpec(
        "lab", Workload("hpc"), 2, {"rocm": "r", "cuda": "c", "cann": "a"}, time_limit_s=9.0
    )
    one = JobRecord("job-000001", 1, spec, Status.SUBMITTED, 0.0, 1, attempt=4, pool="s/p")

    def command(*installed: str) -> str:
        pool = Pool("s/p", "s", "x", 1, 8, stacks=frozenset(installed))
        return run_order(one, pool, "cuda").command

    assert command() == "c"
    assert command("cuda", "rocm") == "c"
    assert command("cann", "rocm") == "r"
    with pytest.raises(OrderRefused, match="built for rocm and cuda and cann; s/p has neuware"):
        command("neuware")
    order = run_order(one, Pool("s/p", "s", "x", 1, 8), "cuda")
    assert (order.token, order.count, order.time_limit_s) == ("job-000001.4", 2, 9.0)
