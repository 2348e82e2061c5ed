r"""The life cycle of a job as one explicit table.

    queued -> submitted -> running -> succeeded | failed | cancelled
                  |           |\-> stopping (for other jobs) -> queued (next attempt)
                  |           \-> queued (evicted by the site; next attempt)
                  \-> unknown (site unreachable) -> back, or lost -> queued (next attempt)
                                                                 \-> failed (abandoned)

`TRANSITIONS` is the whole truth: what is not in it cannot happen. `submitted` means that the
placement is in the store and the engine was or will be asked; `running` that the site was
seen running it. A `stopping` job holds its accelerators until its site reports the end; however
it ended once it had been told to, it goes on later, but for one that was done before it heard.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from tieline.model.errors import ConflictError


class Status(IntEnum):
    """Where a job is. The numbers are stored; never reuse one."""

    QUEUED = 0
    SUBMITTED = 1
    RUNNING = 2
    STOPPING = 9
    CANCELLING = 3
    UNKNOWN = 4
    LOST = 5
    SUCCEEDED = 6
    FAILED = 7
    CANCELLED = 8

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen to the job."""
        return Status.SUCCEEDED <= self <= Status.CANCELLED

    @property
    def holds_accelerators(self) -> bool:
        """Whether an attempt may be alive at a site."""
        return Status.SUBMITTED <= self <= Status.UNKNOWN or self is Status.STOPPING


class Event(IntEnum):
    """What can happen to a job."""

    PLACED = 0
    """The scheduler chose a pool; a new attempt begins."""
    STARTED = 1
    """The site was seen running it."""
    SUCCEEDED = 2
    """It ended with exit code 0."""
    FAILED = 3
    """It ended with another exit code, or ran into its time limit."""
    STOPPED = 4
    """The site ended it because it was asked to: a user or the scheduler wanted it."""
    CANCEL = 5
    """A user asked for its end."""
    REFUSED = 6
    """The engine will never run this order; nothing has run."""
    SILENCE = 7
    """The site does not answer, or does not know the run it acknowledged."""
    FENCED = 8
    """The attempt is known to have stopped without a result."""
    REQUEUED = 9
    """The rules allow another attempt."""
    ABANDONED = 10
    """They do not: it may have run in part, and a second run could do harm."""
    ACCEPTED = 11
    """The site, silent before, knows the order and has not started it."""
    PREEMPTED = 12
    """The scheduler tells it to stop and to go on later."""
    EVICTED = 13
    """The site ended it for reasons of its own, and the rules allow another attempt."""


_S, _E = Status, Event

TRANSITIONS: Final[Mapping[tuple[Status, Event], Status]] = {
    (_S.QUEUED, _E.PLACED): _S.SUBMITTED,
    (_S.QUEUED, _E.CANCEL): _S.CANCELLED,
    (_S.SUBMITTED, _E.STARTED): _S.RUNNING,
    (_S.SUBMITTED, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.SUBMITTED, _E.FAILED): _S.FAILED,
    (_S.SUBMITTED, _E.STOPPED): _S.CANCELLED,
    (_S.SUBMITTED, _E.CANCEL): _S.CANCELLING,
    (_S.SUBMITTED, _E.REFUSED): _S.FAILED,
    (_S.SUBMITTED, _E.SILENCE): _S.UNKNOWN,
    (_S.SUBMITTED, _E.FENCED): _S.LOST,
    (_S.SUBMITTED, _E.EVICTED): _S.QUEUED,
    (_S.SUBMITTED, _E.PREEMPTED): _S.STOPPING,
    (_S.RUNNING, _E.STARTED): _S.RUNNING,
    (_S.RUNNING, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.RUNNING, _E.FAILED): _S.FAILED,
    (_S.RUNNING, _E.STOPPED): _S.CANCELLED,
    (_S.RUNNING, _E.CANCEL): _S.CANCELLING,
    (_S.RUNNING, _E.SILENCE): _S.UNKNOWN,
    (_S.RUNNING, _E.FENCED): _S.LOST,
    (_S.RUNNING, _E.EVICTED): _S.QUEUED,
    (_S.RUNNING, _E.PREEMPTED): _S.STOPPING,
    (_S.STOPPING, _E.STARTED): _S.STOPPING,
    (_S.STOPPING, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.STOPPING, _E.FAILED): _S.FAILED,
    (_S.STOPPING, _E.STOPPED): _S.QUEUED,
    (_S.STOPPING, _E.CANCEL): _S.CANCELLING,
    (_S.STOPPING, _E.REFUSED): _S.FAILED,
    (_S.STOPPING, _E.SILENCE): _S.STOPPING,
    (_S.STOPPING, _E.FENCED): _S.QUEUED,
    (_S.STOPPING, _E.EVICTED): _S.QUEUED,
    (_S.CANCELLING, _E.STARTED): _S.CANCELLING,
    (_S.CANCELLING, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.CANCELLING, _E.FAILED): _S.FAILED,
    (_S.CANCELLING, _E.STOPPED): _S.CANCELLED,
    (_S.CANCELLING, _E.CANCEL): _S.CANCELLING,
    (_S.CANCELLING, _E.REFUSED): _S.CANCELLED,
    (_S.CANCELLING, _E.SILENCE): _S.CANCELLING,
    (_S.CANCELLING, _E.FENCED): _S.CANCELLED,
    (_S.CANCELLING, _E.EVICTED): _S.CANCELLED,
    (_S.UNKNOWN, _E.ACCEPTED): _S.SUBMITTED,
    (_S.UNKNOWN, _E.STARTED): _S.RUNNING,
    (_S.UNKNOWN, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.UNKNOWN, _E.FAILED): _S.FAILED,
    (_S.UNKNOWN, _E.STOPPED): _S.CANCELLED,
    (_S.UNKNOWN, _E.CANCEL): _S.CANCELLING,
    (_S.UNKNOWN, _E.REFUSED): _S.FAILED,
    (_S.UNKNOWN, _E.SILENCE): _S.UNKNOWN,
    (_S.UNKNOWN, _E.FENCED): _S.LOST,
    (_S.UNKNOWN, _E.EVICTED): _S.QUEUED,
    (_S.LOST, _E.REQUEUED): _S.QUEUED,
    (_S.LOST, _E.ABANDONED): _S.FAILED,
    (_S.LOST, _E.CANCEL): _S.CANCELLED,
}

#: Events with which an attempt is over and its accelerators are free.
ENDS_ATTEMPT: Final = frozenset(
    event
    for (before, event), after in TRANSITIONS.items()
    if before.holds_accelerators and not after.holds_accelerators
)


def advance(status: Status, event: Event) -> Status:
    """Give the status after the event.

    Raises
    ------
    ConflictError
        The event cannot happen in this status.
    """
    after = TRANSITIONS.get((status, event))
    if after is None:
        raise ConflictError(f"a {status.name.lower()} job cannot be {event.name.lower()}")
    return after
