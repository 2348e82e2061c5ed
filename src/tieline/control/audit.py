"""What a store must fulfil, checked from what it holds: the jobs and the event log. Pure.

It takes nobody's word: the log is replayed, and the result compared with the tables. Two readings
of the same moment are enough, in little memory: the log from its start to its end (`LogAudit`),
and job by job (`job_findings`).

Times of the control plane are compared with nothing: its clock may be wrong and the order of the
log is not. Times that sites report are compared with one another.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from tieline.control.chain import Break, Head, follows
from tieline.control.changes import change_told, changed
from tieline.control.lifecycle import ENDS_ATTEMPT, Event, Status
from tieline.control.ports import JobRecord, StoredEvent
from tieline.model.errors import ConflictError

#: How far clocks of sites may be apart without a finding [s]. Assumed: machines on NTP differ
#: by milliseconds, and Slurm gives times in whole seconds.
SKEW_S: Final = 2.0

_SUBMITTED: Final = "submitted"
_CANCEL_REQUESTED: Final = "cancel-requested"
_LEAVES: Final = {event.name.lower() for event in ENDS_ATTEMPT}
_OF_JOBS: Final = {_SUBMITTED, _CANCEL_REQUESTED, *(event.name.lower() for event in Event)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    subject: str
    """The job, line, site, token or leader it is about."""
    text: str

    def __str__(self) -> str:
        """Give it as one line."""
        return f"{self.subject}: {self.text}"


@dataclass(frozen=True, slots=True)
class KeptJob:
    """A job as the tables have it."""

    record: JobRecord
    spec_sha256: str
    """Of the text of its spec, as it is stored."""
    cancel_requested: int | None
    """Line of the log with the first request for its end."""


@dataclass(frozen=True, slots=True)
class Registers:
    """What the other tables have."""

    epoch: int
    """Of the present or last leader; 0 where nobody has ever led."""
    drained: frozenset[str]
    tokens: Mapping[str, bool]
    """Whether it is revoked, by token id."""


class LogAudit:
    """Checks the log line by line: the chain, the leaders, what pools hold."""

    def __init__(self, capacity: Mapping[str, int], size: Callable[[str], int]) -> None:
        """Begin before the first line.

        Parameters
        ----------
        capacity
            Accelerators by pool id; pools that are not in it are not checked.
        size
            Gives how many accelerators a job asks for, by its id.
        """
        self._capacity = capacity
        self._size = size
        self._held: dict[str, tuple[str, int]] = {}
        self._used: dict[str, int] = dict.fromkeys(capacity, 0)
        self._epoch = 0
        self._drained: set[str] = set()
        self._tokens: dict[str, bool] = {}
        self.head = Head()
        """The last line that was taken."""

    def take(self, line: StoredEvent) -> Iterator[Finding]:
        """Give what is wrong with the next line."""
        where = f"line {line.seq}"
        found = follows(self.head, line)
        if isinstance(found, Break):
            yield Finding(where, found.text)
        self.head = Head(line.seq, line.hash)
        if (line.event in _OF_JOBS) is not bool(line.job_id):
            yield Finding(where, f"an event {line.event!r} about {line.job_id or 'no job'}")
        elif line.job_id:
            yield from self._occupy(line)
        else:
            yield from self._govern(line)

    def _occupy(self, line: StoredEvent) -> Iterator[Finding]:
        if line.event == "placed":
            self._release(line.job_id)
            pool = str(line.data.get("pool"))
            if pool in self._capacity:
                count = line.data.get("count")
                size = count if isinstance(count, int) else self._size(line.job_id)
                self._held[line.job_id] = (pool, size)
                self._used[pool] += size
                if self._used[pool] > self._capacity[pool]:
                    yield Finding(
                        line.job_id,
                        f"placed on {pool} (line {line.seq}), which then holds "
                        f"{self._used[pool]} of {self._capacity[pool]} accelerators",
                    )
        elif line.event in _LEAVES:
            self._release(line.job_id)

    def _release(self, job_id: str) -> None:
        if job_id in self._held:
            pool, size = self._held.pop(job_id)
            self._used[pool] -= size

    def _govern(self, line: StoredEvent) -> Iterator[Finding]:
        data, where = line.data, f"line {line.seq}"
        if line.event == "leader-began":
            if data.get("epoch") != self._epoch + 1:
                yield Finding(where, f"epoch {data.get('epoch')} follows epoch {self._epoch}")
            self._epoch += 1
        elif line.event == "site-drained":
            self._drained.add(str(data.get("site")))
        elif line.event == "site-resumed":
            self._drained.discard(str(data.get("site")))
        elif line.event in ("token-created", "token-revoked"):
            self._tokens[str(data.get("token"))] = line.event == "token-revoked"
        else:
            yield Finding(where, f"there is no event {line.event!r}")

    def end(self, registers: Registers) -> Iterator[Finding]:
        """Give where the tables differ from what the log makes of them."""
        if registers.epoch != self._epoch:
            yield Finding("leader", f"epoch {registers.epoch}, by the log {self._epoch}")
        for site in sorted(registers.drained ^ self._drained):
            state = "drained" if site in registers.drained else "open"
            yield Finding(f"site {site}", f"it is {state}, and by the log it is not")
        for token in sorted(registers.tokens.keys() | self._tokens.keys()):
            states = registers.tokens.get(token), self._tokens.get(token)
            if states[0] is not states[1]:
                now, told = ("absent" if it is None else _REVOKED[it] for it in states)
                yield Finding(f"token {token}", f"it is {now}, by the log {told}")


_REVOKED: Final = {True: "revoked", False: "good"}


def job_findings(kept: KeptJob | None, lines: Sequence[StoredEvent]) -> Iterator[Finding]:
    """Give what is wrong with one job: each step, its record, its attempts.

    Parameters
    ----------
    kept
        The job in the tables, if it is there and can be read.
    lines
        All lines of the log about it, in order.
    """
    if kept is None:
        if lines:
            yield Finding(
                lines[0].job_id, "it is in the log, but not, or not readable, among the jobs"
            )
        return
    job_id = kept.record.id
    if not lines:
        yield Finding(job_id, "it is among the jobs, but not in the log")
        return
    yield from (Finding(job_id, text) for text in _replayed(kept, lines))
    if not kept.record.spec.idempotent:
        yield from (Finding(job_id, text) for text in _overlaps(lines))


def _replayed(kept: KeptJob, lines: Sequence[StoredEvent]) -> Iterator[str]:
    """Give where the life in the log is not possible, or does not lead to the record."""
    first, *rest = lines
    if first.event != _SUBMITTED:
        yield f"its first event is {first.event!r} (line {first.seq}), not its submission"
        return
    if first.data.get("spec_sha256", kept.spec_sha256) != kept.spec_sha256:
        yield "its spec is not the one that was submitted"
    record = kept.record
    now = JobRecord(record.id, record.seq, record.spec, Status.QUEUED, first.at, version=0)
    asked = None
    for line in rest:
        if line.event == _CANCEL_REQUESTED:
            asked = asked or line.seq
            continue
        try:
            now = changed(now, change_told(line, now.version))
        except ConflictError as error:
            yield f"line {line.seq} cannot be: {error}"
            return
        if (line.data.get("version"), line.data.get("attempt")) != (now.version, now.attempt):
            yield f"line {line.seq} is not of version {now.version}, attempt {now.attempt}"
    if asked != kept.cancel_requested:
        yield f"its end was asked for in line {kept.cancel_requested}, by the log in {asked}"
    for field in fields(JobRecord):
        found, told = getattr(record, field.name), getattr(now, field.name)
        if found != told:
            yield f"{field.name} is {_said(found)}, by the log {_said(told)}"


def _said(value: object) -> str:
    return value.name.lower() if isinstance(value, Status) else repr(value)


def _overlaps(lines: Sequence[StoredEvent]) -> Iterator[str]:
    """Give the attempts that began, by what the sites say, before the one before had ended."""
    starts: dict[object, float] = {}
    ends: dict[object, float] = {}
    for line in lines:
        attempt = line.data.get("attempt")
        start, end = line.data.get("started_at"), line.data.get("ended_at")
        if isinstance(start, int | float):
            starts.setdefault(attempt, start)
        if isinstance(end, int | float):
            ends[attempt] = max(end, ends.get(attempt, end))
    for attempt, start in starts.items():
        for other, end in ends.items():
            ran_before = isinstance(attempt, int) and isinstance(other, int) and other < attempt
            if ran_before and start < end - SKEW_S:
                yield (
                    f"attempt {attempt} began {end - start:.1f} s before attempt {other} had ended"
                )
