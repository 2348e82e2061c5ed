"""Random lives of jobs: any row of events, wanted or not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.lifecycle import TRANSITIONS, Event, Status, advance
from tieline.model.errors import ConflictError


@given(st.lists(st.sampled_from(Event), max_size=60))
def test_a_life_has_one_attempt_at_a_time_and_one_end(events: list[Event]) -> None:
    """Attempts begin in the queue and end before the next; an ended job stays as it is.

    An event that cannot happen raises and changes nothing.
    """
    status, alive, cancelled = Status.QUEUED, 0, False
    for event in events:
        if (status, event) not in TRANSITIONS:
            with pytest.raises(ConflictError):
                advance(status, event)
            continue
        before, status = status, advance(status, event)
        assert not before.ended
        alive += (event is Event.PLACED) - (before.holds_accelerators > status.holds_accelerators)
        assert alive == status.holds_accelerators
        cancelled |= event is Event.CANCEL
        assert not (cancelled and status in {Status.QUEUED, Status.RUNNING, Status.STOPPING})
