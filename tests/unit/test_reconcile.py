"""What a site reports against what the store says: each pair gives the one right event."""

import pytest

from tieline.control.lifecycle import Event, Status
from tieline.control.orders import run_order
from tieline.control.ports import JobRecord, RunPhase, RunReport
from tieline.control.reconcile import missing, reconcile, resolve_lost, silent
from tieline.model.errors import OrderRefused
from tieline.model.job import JobSpec
from tieline.model.network import Pool
from tieline.model.workload import Workload

HELD = [status for status in Status if status.holds_accelerators]


def record(status: Status, *, started: float | None = None, idempotent: bool = False) -> JobRecord:
    """Give the record of a job at a site, in its first attempt."""
    spec = JobSpec("lab", Workload("hpc"), 1, {"cuda": "true"}, idempotent=idempotent)
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


def test_only_an_idempotent_job_is_run_again() -> None:
    """A lost job waits again where a second run does no harm, and has failed elsewhere."""
    again, failed = (
        resolve_lost([record(Status.LOST, idempotent=idempotent)], 5.0)[0]
        for idempotent in (True, False)
    )
    assert (again.event, failed.event) == (Event.REQUEUED, Event.ABANDONED)
    assert "declare it idempotent" in failed.detail


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
