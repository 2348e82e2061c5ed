"""What the control plane tells about itself: plain values, taken at one moment.

Units: seconds (UTC epoch) and accelerators; prices are finished jobs per accelerator-second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tieline.control.history import Estimate
from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord
from tieline.model.network import Pool
from tieline.model.units import format_duration
from tieline.scheduling.explain import Explanation
from tieline.simulation.outlook import Outlook


@dataclass(frozen=True, slots=True)
class Why:
    """Why a job is where it is."""

    job: JobRecord
    sentence: str
    estimate: Estimate | None = None
    """How long it is taken to run; only for a job that the scheduler considers."""
    explanation: Explanation | None = None
    """Every pool's answer; only for a job that waits and that the scheduler has looked at."""
    outlook: Outlook | None = None
    """When it will start; only with an explanation."""
    names: Sequence[str] = ()
    """Ids of the jobs that rows of the explanation stand for."""
    pools: Sequence[str] = ()
    """Ids of the pools that rows of the outlook stand for."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool as it is now."""

    pool: Pool
    region: str
    usable: int
    """Accelerators that work now and that no stranger holds."""
    free: int
    """Accelerators; below 0 when more is held than can be used now."""
    largest: int
    """The most free accelerators on one node."""
    running: int
    """Jobs that hold accelerators."""
    waiting: int
    """Waiting jobs that may run there; a job counts at every pool it may use."""
    price: float
    """Price of the last cycle; 0 when nobody waits, and for policies without prices."""
    open: bool
    """Whether new work may start there."""
    problem: str = ""
    """Why it is closed, in plain words."""


@dataclass(frozen=True, slots=True)
class SiteView:
    """One site as it is now."""

    id: str
    region: str
    engine: str
    """Kind of its engine, such as `local`."""
    state: str
    """`open`, `drained`, `closed` or `quarantined`; only an open one gets new work."""
    problem: str
    """What is wrong with it, or who drained it and why, in plain words; empty otherwise."""
    running: int
    """Jobs that hold accelerators."""
    usable: int | None
    """Accelerators that work now and that no stranger holds; None before it has told."""
    capacity: int
    """Accelerators that the network file says there are."""
    heard_ago_s: float | None
    """Time since it last told what runs there [s]; None before it has."""


@dataclass(frozen=True, slots=True)
class PriceReading:
    """The prices of one cycle."""

    at: float
    prices: Mapping[str, float]
    """By pool id, every pool."""
    gap: float | None
    """Certified gap in [0, 1]; None for policies without a clearing."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of the last cycle, and those before it."""

    policy: str
    latest: PriceReading | None
    """None before the first cycle."""
    age_s: float
    """Time since the last cycle; 0 before the first."""
    history: tuple[PriceReading, ...]
    """Oldest first, at most one per second of the last ten minutes; kept in memory only."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the control plane works, and what does not."""

    ok: bool
    """Whether the loop runs and every site answers."""
    network: str
    policy: str
    detail: str = ""
    """What is wrong, in plain words; empty when all is well."""
    last_tick_at: float | None = None
    """None before the first."""
    sites: Mapping[str, str] = field(default_factory=dict)
    """Site id -> what is wrong with it, empty when it answers."""


@dataclass(frozen=True, slots=True)
class Present:
    """What is now, in numbers, for metrics."""

    leads: bool
    """Whether this control plane runs the loop."""
    epoch: int
    """Of the present leader; 0 when nobody has ever led."""
    audit_head: int
    """Lines of the event log."""
    jobs: Mapping[str, int] = field(default_factory=dict)
    """Open jobs by the name of their status; empty unless this one leads, as all that follows."""
    gap: float | None = None
    pools: Sequence[PoolView] = ()
    sites: Mapping[str, str] = field(default_factory=dict)
    """Site id -> its state in a word."""


def statement(job: JobRecord) -> str:
    """Give in one sentence where a job is that does not wait for a pool."""
    unknown = job.detail or "the site does not answer"
    again = job.spec.preemptible or job.spec.idempotent
    meanwhile = " until its run there must have ended" if again else ""
    return {
        Status.QUEUED: "The scheduler has not looked at it yet.",
        Status.SUBMITTED: f"It was placed on {job.pool}, which has not reported its start yet.",
        Status.RUNNING: f"It runs on {job.pool}.",
        Status.STOPPING: f"It was told to stop, and goes on later; {job.pool} has not "
        "reported the end yet.",
        Status.CANCELLING: f"Its end was asked for; {job.pool} has not reported it yet.",
        Status.UNKNOWN: f"Its state on {job.pool} is unknown: {unknown}. It keeps its place there "
        f"and is not run elsewhere{meanwhile}.",
        Status.LOST: f"It stopped on {job.pool} without a result.",
    }.get(job.status) or _ending(job)


def _ending(job: JobRecord) -> str:
    words = {Status.SUCCEEDED: "succeeded", Status.FAILED: "failed"}
    parts = [f"It {words.get(job.status, 'was cancelled')}"]
    if job.pool is not None:
        parts.append(f"on {job.pool}")
    if job.started_at is not None and job.ended_at is not None:
        parts.append(f"after {format_duration(max(0.0, job.ended_at - job.started_at))}")
    if job.status is Status.FAILED and job.exit_code is not None:
        parts.append(f"with exit code {job.exit_code}")
    return " ".join(parts) + (f": {job.detail}." if job.detail else ".")
