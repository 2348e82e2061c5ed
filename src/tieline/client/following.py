"""Jobs over time: waiting for their ends, and following what happens to them and what they say.

A control plane that is away for a while, as during a restart or a change of leader, is waited
for. Nothing here is kept at the control plane: who stops following changes nothing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from tieline.client.errors import NoControlPlane
from tieline.control.lifecycle import Status
from tieline.model.errors import (
    EngineUnavailable,
    NotFoundError,
    NotLeader,
    StoreUnavailable,
)
from tieline.wire.schemas import MAX_PAGE, Event, Events, Job

#: While waiting for jobs: between two looks, from the first to the later ones [s].
_POLL_S: Final = (0.1, 1.0)
#: While following jobs: between two looks, and as long as a look takes at least [s].
_FOLLOW_S: Final = 0.3
#: How long a control plane is borne that does not answer [s].
PATIENCE_S: Final = 30.0
#: Events after which there is new output to be read, those of an attempt that begins.
_BEGINS: Final = {"placed", "started"}
#: In these a run may be writing.
_MAY_WRITE: Final = {Status.RUNNING, Status.STOPPING, Status.CANCELLING}

Watcher = Callable[[Sequence[Job]], None]
Found = TypeVar("Found")


class Asks(Protocol):
    """What of the client is used here."""

    @property
    def url(self) -> str:
        """Address of the control plane."""

    def jobs(self, *, limit: int, before: int | None) -> list[Job]:
        """Give jobs, newest first."""

    def events(self, job_id: str, *, after: int = 0) -> Events:
        """Give the history of a job from an event on."""

    def log(self, job_id: str, offset: int = 0) -> bytes:
        """Give the next piece of output."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something new about a job that is followed: an event, a piece of output, or a problem."""

    job: Job
    """As it is now."""
    event: Event | None = None
    output: bytes = b""
    problem: str = ""
    """Why no more of its output can be had, in plain words."""


def wait(
    client: Asks, jobs: Sequence[Job], *, timeout_s: float | None, watch: Watcher | None
) -> list[Job]:
    """Give the jobs once all have ended, or the time is over; as `Client.wait`."""
    give_up = None if timeout_s is None else time.monotonic() + timeout_s
    latest = {job.seq: job for job in jobs}
    order = [job.seq for job in jobs]
    pause_s = _POLL_S[0]
    while True:
        latest |= patiently(partial(_look_again, client, latest))
        now = [latest[seq] for seq in order]
        if watch is not None:
            watch(now)
        if all(job.status.ended for job in now):
            return now
        if give_up is not None and time.monotonic() >= give_up:
            return now
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, _POLL_S[1])


def follow(client: Asks, jobs: Sequence[Job]) -> Iterator[Sighting]:
    """Give what happens to the jobs until all have ended, from their submission on.

    Output comes after the event with which its run began, and before the one that ends it.
    """
    latest = {job.seq: job for job in jobs}
    traces = {job.seq: _Trace(job) for job in jobs}
    while True:
        began = time.monotonic()
        for seq, trace in traces.items():
            if not trace.over:
                yield from trace.news(client, latest[seq])
        if all(trace.over for trace in traces.values()):
            return
        # With very many jobs a look takes long; the control plane has others to serve as well.
        time.sleep(max(_FOLLOW_S, time.monotonic() - began))
        latest |= patiently(partial(_look_again, client, latest))


class _Trace:
    """How far one job has been followed."""

    def __init__(self, job: Job) -> None:
        self._seen: Job | None = None
        self._id: Final = job.id
        self._last_event = 0
        self._runs = False
        """Whether its present attempt is known to have begun."""
        self._offset = 0
        self.over = False

    def news(self, client: Asks, found: Job) -> Iterator[Sighting]:
        """Give what is new, the job being as it was found."""
        events: list[Event] = []
        if found != self._seen:
            events = patiently(lambda: client.events(self._id, after=self._last_event)).events
        begins = [at for at, event in enumerate(events, 1) if event.event in _BEGINS]
        first = begins[-1] if begins else 0
        yield from (Sighting(found, event) for event in events[:first])
        for event in events[:first]:
            if event.event == "placed":
                self._runs, self._offset = False, 0
            self._runs = self._runs or event.event == "started"
        if found.status.ended or (self._runs and (events or found.status in _MAY_WRITE)):
            yield from self._output(client, found)
        yield from (Sighting(found, event) for event in events[first:])
        self._last_event = events[-1].seq if events else self._last_event
        self._seen, self.over = found, found.status.ended

    def _output(self, client: Asks, found: Job) -> Iterator[Sighting]:
        try:
            while piece := self._piece(client, found):
                self._offset += len(piece)
                yield Sighting(found, output=piece)
        except (EngineUnavailable, NotFoundError) as error:
            if found.status.ended:
                yield Sighting(found, problem=str(error))

    def _piece(self, client: Asks, found: Job) -> bytes:
        if found.status.ended:  # the last chance to read it
            return patiently(lambda: client.log(self._id, self._offset))
        return patiently(lambda: client.log(self._id, self._offset), site=False)


def patiently(ask: Callable[[], Found], *, site: bool = True) -> Found:
    """Give an answer, asking again while the control plane is away, or a site with `site`.

    Raises
    ------
    NoControlPlane, NotLeader, StoreUnavailable, EngineUnavailable
        It was away for half a minute.
    """
    borne = (NoControlPlane, NotLeader, StoreUnavailable, *((EngineUnavailable,) if site else ()))
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except borne:
            if time.monotonic() > give_up:
                raise
        time.sleep(_FOLLOW_S)


def _look_again(client: Asks, latest: dict[int, Job]) -> dict[int, Job]:
    """Give the jobs that had not ended, as they are now.

    Jobs of one submission follow one another, so few pages hold all of them.
    """
    open_seqs = {seq for seq, job in latest.items() if not job.status.ended}
    found: dict[int, Job] = {}
    while left := open_seqs - found.keys():
        before = max(left) + 1
        page = client.jobs(before=before, limit=min(before - min(left), MAX_PAGE))
        found |= {job.seq: job for job in page if job.seq in open_seqs}
        if max(left) not in found:
            raise NotFoundError(f"{client.url} does not know {latest[max(left)].id} any more")
    return found
