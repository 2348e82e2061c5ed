"""The ports: what the control loop asks of an engine, a store and a clock.

Ports belong to the inside and speak in domain verbs. The contract stands in the docstrings;
one contract suite per port (`tests/contract`) runs over every implementation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tieline.control.governance import Drain, Leader, Token
from tieline.control.lifecycle import Event, Status
from tieline.model.job import JobSpec


@dataclass(frozen=True, slots=True)
class RunOrder:
    """One attempt at a job, as handed to an engine."""

    token: str
    """`JOB.ATTEMPT`: the identity of the attempt, claimed by the wrapper before it starts."""
    job_id: str
    tenant: str
    pool: str
    """Pool id at the engine's site."""
    count: int
    command: str
    """Shell command for the stack of the pool."""
    env: Mapping[str, str] = field(default_factory=dict)
    time_limit_s: float | None = None
    attempt: int = 1
    """Above 1 it may have run in part: it was stopped, or its run was lost."""
    grace_s: float = 0.0
    """Time it is given at least to save its state when its end is asked for."""
    may_run_again: bool = False
    """Whether it may be run elsewhere once it has ended here without a result."""


class RunPhase(StrEnum):
    """How far a run has come at its site."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    """Ended because `cancel` was called."""
    EVICTED = "evicted"
    """Ended by the site for reasons of its own, after it was asked to save its state: its
    accelerators were wanted for others, or the machine is taken down."""
    VANISHED = "vanished"
    """Claimed, but its wrapper is gone without an exit record; it will not come back."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a site knows about one token."""

    token: str
    phase: RunPhase
    started_at: float | None = None
    """UTC epoch [s]; set from `running` on."""
    ended_at: float | None = None
    exit_code: int | None = None
    detail: str = ""
    """Plain words where the exit code is not enough, such as `time limit of 30 s`."""


class Engine(Protocol):
    """Runs attempts at one site. Threads may share an engine.

    An engine acts for one epoch of leadership (see `Store.lead`) where its site can be reached
    by several control planes: once the site has heard of a later epoch it refuses to submit,
    cancel and forget for an earlier one with `EngineUnavailable`.

    Calls may block up to the engine's own time-out, never longer. Any of them raises
    `EngineUnavailable` when the site does not answer: then nothing is known, and the same
    call may be made again.
    """

    @property
    def lease_s(self) -> float | None:
        """Give the silence after which the site itself has ended runs [s]; None: it never does.

        Those are the runs whose order says `may_run_again`. Counted from when the last
        `observe` that succeeded came back, margins for clocks included.
        """

    def submit(self, order: RunOrder) -> None:
        """Make sure the order runs, once.

        Idempotent by token: a second call with a known token does nothing, whatever became
        of the first run. The acknowledgement is provisional until `observe` shows the token.

        Raises
        ------
        OrderRefused
            The site will never run it; nothing has run.
        EngineUnavailable
            Whether it took effect is unknown; ask `observe` before asking again.
        """

    def observe(self) -> Mapping[str, RunReport]:
        """Give a report for every token the site knows and that is not forgotten, by token.

        A token that was acknowledged and is absent here was never started and never will
        be without another `submit`. Answers renew the lease of a site that has one; the first
        of an engine, and the first after a silence longer than the lease, renew nothing.
        """

    def capacity(self) -> Mapping[str, int]:
        """Give the accelerators that work now and that no stranger holds, by pool id.

        Those that our own runs hold are counted; those on machines that are down or take no
        new work, and those that others' jobs hold, are not. At most the size of the pool.

        Raises
        ------
        EngineUnavailable
            The site takes no new work now, although `observe` may still know of old one.
        """

    def cancel(self, token: str) -> None:
        """Ask for the end of a run, its whole process group, and return without waiting.

        Idempotent; an unknown or ended token is no error. A cancelled token never starts.
        """

    def log(self, token: str, offset: int = 0, limit: int = 1 << 16) -> bytes:
        """Give at most `limit` bytes of the run's output from `offset` on; empty when none."""

    def forget(self, tokens: Sequence[str]) -> None:
        """Drop the records of ended runs whose result is in the store. Idempotent."""

    def close(self) -> None:
        """Release what the engine holds here. Runs go on."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as stored."""

    id: str
    seq: int
    """Order of acknowledgement, ascending, never reused."""
    spec: JobSpec
    status: Status
    submitted_at: float
    version: int
    """Grows by one with every transition."""
    attempt: int = 0
    """0 before the first placement."""
    pool: str | None = None
    placed_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    detail: str = ""
    count: int | None = None
    """Accelerators of the present attempt; None means as many as it asks for."""
    stops: int = 0
    """Attempts that ended because the scheduler told the job to stop."""
    left_s: float | None = None
    """Work that was left when it was last told to stop, estimated, at rate 1; None = never."""

    @property
    def size(self) -> int:
        """Accelerators that it holds or, while it waits, asks for."""
        return self.count or self.spec.count

    @property
    def token(self) -> str:
        """Identity of the present attempt."""
        return f"{self.id}.{self.attempt}"


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a job's life to be written: the event and what it brings."""

    job_id: str
    version: int
    """The version the decision saw; the store refuses the change when it has moved on."""
    event: Event
    at: float
    pool: str | None = None
    """With `PLACED`."""
    count: int | None = None
    """With `PLACED`: the accelerators it is given; None means as many as it asks for."""
    left_s: float | None = None
    """With `PREEMPTED`: the work that will be left, estimated, at rate 1."""
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One line of the append-only event log."""

    seq: int
    at: float
    job_id: str
    event: str
    """`submitted`, `cancel-requested`, the name of a life-cycle event in lower case, or one
    that is not about a job: `site-drained`, `site-resumed`, `leader-began`, `token-created`,
    `token-revoked`."""
    data: Mapping[str, object]
    hash: str = ""
    """Of this line and the hash of the line before it (`control.chain`), 64 hex digits."""


@dataclass(frozen=True, slots=True)
class News:
    """What users asked for since a position in the event log."""

    position: int
    """Pass it to the next call."""
    submitted: tuple[JobRecord, ...]
    cancel: tuple[str, ...]
    """Job ids whose end was asked for, in the order asked."""
    drained: Mapping[str, Drain] = field(default_factory=dict)
    """All sites that are closed to new work now, by site id."""
    resumed: frozenset[str] = frozenset()
    """Sites that operators opened since."""


class Store(Protocol):
    """Keeps jobs and the event log. Every call is one durable transaction, or nothing.

    Any of them raises `StoreUnavailable` when the store is locked, away or out of space:
    nothing was written, and the same call may be made again; when the connection broke on the
    way, whether it was written is unknown, and the same call may be made again as well. Threads
    and, where the store is of that kind, processes on several machines may share a store.

    `by` names who asked, in the event log.
    """

    # ------------------------------------------------------------------- leadership

    def lead(self, name: str, url: str, *, lease_s: float) -> int | None:
        """Become the leader and give the new epoch; None while another one leads.

        Another one leads when it has renewed within the last `lease_s` seconds, by the clock of
        the store, and has neither resigned nor lost its connection for good.
        """

    def renew(self, epoch: int) -> None:
        """Stay the leader.

        Raises
        ------
        NotLeader
            There is a later epoch, or this one has resigned.
        """

    def resign(self, epoch: int) -> None:
        """Let the next one lead at once. Idempotent; nothing happens in a later epoch."""

    def leader(self) -> Leader | None:
        """Give the present leader, however silent; None when nobody leads."""

    # ------------------------------------------------------------------------- jobs

    def add_jobs(
        self, specs: Sequence[JobSpec], *, now: float, key: str | None = None, by: str = ""
    ) -> list[JobRecord]:
        """Store jobs as queued and give them, in order; they survive a crash from here on.

        Idempotent by `key`: a second call with the same key gives the first call's jobs, as
        they are now. Keys of different tenants are told apart by whoever makes them.

        Raises
        ------
        ConflictError
            The key was used for other specs; nothing is stored.
        """

    def request_cancel(self, job_id: str, *, now: float, by: str = "") -> JobRecord:
        """Note that a user wants the job's end. Idempotent; an ended job stays as it is.

        Raises
        ------
        NotFoundError
            No such job.
        """

    def news(self, position: int) -> News:
        """Give submissions and cancel requests after `position`, in order; 0 is the start.

        Each is given exactly once to a reader who passes on the positions; a job that has
        moved on since is given as it is now.
        """

    def open_jobs(self) -> tuple[int, list[JobRecord]]:
        """Give the log position and every job that has not ended, by `seq`, in one snapshot.

        Jobs with a pending cancel request are among them; the request is in `pending_cancels`.
        """

    def pending_cancels(self) -> list[str]:
        """Give the ids of jobs whose end was asked for and that have not ended, as asked."""

    def record(self, changes: Sequence[Change], *, epoch: int = 0) -> list[JobRecord]:
        """Apply all changes through the life-cycle table, or none; give the new records.

        Only the leader may: `epoch` must be the present one, 0 where nobody has ever led. One
        record per change, in order. Several changes of one job follow each other, each
        with the version that the one before it left.

        Raises
        ------
        NotLeader
            Another epoch is the present one.
        ConflictError
            A version has moved on, or the table does not allow an event.
        NotFoundError
            No such job.
        """

    def job(self, job_id: str) -> JobRecord:
        """Give one job.

        Raises
        ------
        NotFoundError
            No such job.
        """

    def jobs(
        self,
        *,
        status: Sequence[Status] = (),
        tenant: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[JobRecord]:
        """Give at most `limit` jobs, newest first, with `seq` below `before` where given."""

    def events(
        self, job_id: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[StoredEvent]:
        """Give events in order, of one job or of all."""

    # ------------------------------------------------------------- sites and tokens

    def drain(self, site: str, *, now: float, by: str = "", reason: str = "") -> Drain:
        """Close a site to new work until `resume`. Idempotent: it stays as drained first."""

    def resume(self, site: str, *, now: float, by: str = "") -> None:
        """Open a site to new work: one that is drained, and one that is mistrusted."""

    def drained(self) -> Mapping[str, Drain]:
        """Give all drained sites, by id."""

    def add_token(self, token: Token, *, by: str = "") -> None:
        """Keep a token.

        Raises
        ------
        ConflictError
            There is one of that id.
        """

    def revoke_token(self, token_id: str, *, now: float, by: str = "") -> Token:
        """Make a token useless from now on, and give it. Idempotent.

        Raises
        ------
        NotFoundError
            There is no such token.
        """

    def tokens(self) -> list[Token]:
        """Give all tokens, also expired and revoked ones, the newest first."""

    def token(self, token_id: str) -> Token | None:
        """Give one token, expired and revoked ones too; None when there is none."""

    def close(self) -> None:
        """Release files and connections. Idempotent."""


class Clock(Protocol):
    """Tells the time; the only one inside is the argument `now`."""

    def now(self) -> float:
        """UTC epoch [s]."""
