"""The life-cycle table: what it never allows, and where every way ends."""

import pytest

from tieline.control.lifecycle import TRANSITIONS, Event, Status, advance
from tieline.model.errors import ConflictError

ENDED = {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}
HOLDING = {
    Status.SUBMITTED,
    Status.RUNNING,
    Status.STOPPING,
    Status.CANCELLING,
    Status.UNKNOWN,
}


def reachable(start: Status) -> set[Status]:
    """Give every status that some row of events leads to."""
    found, left = {start}, [start]
    while left:
        status = left.pop()
        for (before, _event), after in TRANSITIONS.items():
            if before is status and after not in found:
                found.add(after)
                left.append(after)
    return found


def test_the_numbers_are_what_stores_hold() -> None:
    """Statuses are stored as numbers: none may change its own."""
    names = "queued submitted running cancelling unknown lost succeeded failed cancelled stopping"
    assert " ".join(Status(number).name.lower() for number in range(len(Status))) == names


@pytest.mark.parametrize("status", Status)
def test_properties_say_what_the_status_means(status: Status) -> None:
    """Three statuses have ended; an attempt may be alive in five others."""
    assert status.ended == (status in ENDED)
    assert status.holds_accelerators == (status in HOLDING)


@pytest.mark.parametrize("status", Status)
def test_every_status_can_be_reached(status: Status) -> None:
    """From queued, some row of events leads to every status."""
    assert status in reachable(Status.QUEUED)


@pytest.mark.parametrize("event", Event)
def test_every_event_can_happen(event: Event) -> None:
    """No event is dead: some status knows it."""
    assert any(known is event for _status, known in TRANSITIONS)


@pytest.mark.parametrize("status", sorted(ENDED))
def test_an_end_is_an_end(status: Status) -> None:
    """Nothing happens to a job that has ended."""
    assert reachable(status) == {status}


@pytest.mark.parametrize("status", sorted(set(Status) - ENDED))
def test_every_job_can_come_to_an_end(status: Status) -> None:
    """From every status that has not ended, some row of events ends the job."""
    assert reachable(status) & ENDED


def test_only_a_placement_begins_an_attempt() -> None:
    """A job that holds nothing comes to hold accelerators by a placement, from the queue."""
    begins = {
        (before, event)
        for (before, event), after in TRANSITIONS.items()
        if after in HOLDING and before not in HOLDING
    }
    assert begins == {(Status.QUEUED, Event.PLACED)}


def test_a_job_waits_again_only_when_its_attempt_has_stopped() -> None:
    """Back to the queue lead lost, which only fencing brings about, and ends at the site."""
    back = {key for key, after in TRANSITIONS.items() if after is Status.QUEUED}
    lost = {event for (_before, event), after in TRANSITIONS.items() if after is Status.LOST}
    at_a_site = {Status.SUBMITTED, Status.RUNNING, Status.STOPPING, Status.UNKNOWN}
    assert back == {
        (Status.LOST, Event.REQUEUED),
        (Status.STOPPING, Event.STOPPED),
        (Status.STOPPING, Event.FENCED),
        *((status, Event.EVICTED) for status in at_a_site),
    }
    assert lost == {Event.FENCED}


def test_a_cancelled_job_never_runs_again() -> None:
    """Once its end was asked for, a job is neither running nor waiting nor lost any more."""
    assert reachable(Status.CANCELLING) == {Status.CANCELLING, *ENDED}


def test_only_the_scheduler_tells_a_job_to_stop_and_only_one_that_can_hear() -> None:
    """A stop is asked of jobs that are at a site which answers, and of nothing else."""
    asked = {key for key, after in TRANSITIONS.items() if after is Status.STOPPING}
    assert {key for key in asked if key[0] is not Status.STOPPING} == {
        (Status.SUBMITTED, Event.PREEMPTED),
        (Status.RUNNING, Event.PREEMPTED),
    }


@pytest.mark.parametrize("status", sorted(HOLDING))
def test_what_the_site_reports_is_always_heard(status: Status) -> None:
    """Whatever the loop believes of a live attempt, a report of its end ends the attempt."""
    assert advance(status, Event.SUCCEEDED) is Status.SUCCEEDED
    assert advance(status, Event.FAILED) is Status.FAILED
    goes_on = status is Status.STOPPING
    assert advance(status, Event.STOPPED) is (Status.QUEUED if goes_on else Status.CANCELLED)
    assert advance(status, Event.FENCED) not in HOLDING


@pytest.mark.parametrize("status", sorted(set(Status) - ENDED))
def test_every_live_job_can_be_cancelled(status: Status) -> None:
    """A user's request is refused only when the job has ended."""
    assert advance(status, Event.CANCEL) in {Status.CANCELLED, Status.CANCELLING}


def test_what_the_table_does_not_know_is_refused_in_words() -> None:
    """The message names the status and the event."""
    with pytest.raises(ConflictError, match="a succeeded job cannot be placed"):
        advance(Status.SUCCEEDED, Event.PLACED)
