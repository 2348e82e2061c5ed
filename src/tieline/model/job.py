"""What a user submits, and the part of it that decides where it can run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final

from tieline.model.workload import Workload

#: Run time assumed for a job without an estimate [s]; shown as `assumed`. One hour lies
#: between the median (minutes) and the mean (hours) of the Philly and Helios traces.
DEFAULT_ESTIMATE_S: Final = 3600.0

#: Time that a stop and a new start cost a job that may be stopped and does not say [s].
#: Assumed: to save, to wait for the stop, to load weights and compile.
DEFAULT_RESTART_S: Final = 120.0

#: Median of log(speed on n / speed on 1) / log(n) over the 333 pairs with n = 2, 4 and 8 in the
#: throughputs that Gavel measured (the middle half lies between 0.35 and 0.88).
DEFAULT_SCALING: Final = 0.66


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job as submitted: a gang of `count` equal accelerators that starts and ends together."""

    tenant: str
    workload: Workload
    count: int
    commands: Mapping[str, str]
    """Shell command per software stack it is built for."""
    name: str = ""
    memory_bytes: float = 0.0
    """Memory it needs on each accelerator; 0 means any."""
    datasets: tuple[str, ...] = ()
    sensitivity: str = "open"
    residency: frozenset[str] = frozenset()
    """Regions it may run in; empty means anywhere."""
    estimate_s: float | None = None
    """Run time on `estimate_on`, without staging; None when unknown."""
    estimate_on: str | None = None
    """Accelerator the estimate holds for; None means the reference (H200 SXM)."""
    time_limit_s: float | None = None
    """Wall time after which the engine ends it; None means no limit."""
    priority: int = 0
    deadline_s: float | None = None
    """UTC epoch by which it should end."""
    preemptible: bool = False
    """Whether it may be stopped and started again, here or elsewhere: it saves its state."""
    restart_s: float = DEFAULT_RESTART_S
    """Time that a stop and a new start cost it; counts only where it is preemptible."""
    checkpoint_s: float = 0.0
    """Time between two checkpoints, so that a stop loses as much at most; 0 means that it saves
    its state when it is told to stop."""
    idempotent: bool = False
    """Whether a second run does no harm, even at the same time as the first."""
    env: Mapping[str, str] = field(default_factory=dict)
    min_count: int | None = None
    """Fewest accelerators it can run on; None means `count`."""
    max_count: int | None = None
    """Most accelerators it can use; None means `count`."""
    scaling: float = DEFAULT_SCALING
    """On n times as many accelerators it is n**scaling times as fast; in (0, 1]. Counts only
    where it can run on other numbers than `count`."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """All of a job that decides where it can run and how fast: equal kinds share one row.

    Jobs of one kind differ only in size (run time), age and identity, so filters and rates
    are worked out once per kind instead of once per job.
    """

    tenant: str
    workload: Workload
    count: int
    stacks: frozenset[str] = frozenset()
    """Stacks it is built for; empty means it runs on any."""
    memory_bytes: float = 0.0
    datasets: tuple[str, ...] = ()
    sensitivity: str = "open"
    residency: frozenset[str] = frozenset()
    priority: int = 0
    restart_s: float = inf
    """Time that a stop and a new start cost; inf means that it may not be stopped."""
    checkpoint_s: float = 0.0
    least: int = 0
    """Fewest accelerators it can run on; 0 means `count`."""
    most: int = 0
    """Most accelerators it can use; 0 means `count`."""
    scaling: float = 1.0
    """As in `JobSpec`; 1 where there is one size only."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of accelerators it can be given, ascending: doublings, `count` and `most`."""
        least, most = self.least or self.count, self.most or self.count
        doubled = {least << i for i in range((most // least).bit_length())}
        return tuple(sorted({*doubled, self.count, most}))

    @classmethod
    def of(cls, spec: JobSpec) -> "JobKind":
        """Give the kind of a submitted job."""
        least, most = spec.min_count or spec.count, spec.max_count or spec.count
        least, most = (0 if one == spec.count else one for one in (least, most))
        return cls(
            tenant=spec.tenant,
            workload=spec.workload,
            count=spec.count,
            stacks=frozenset(spec.commands),
            memory_bytes=spec.memory_bytes,
            datasets=spec.datasets,
            sensitivity=spec.sensitivity,
            residency=spec.residency,
            priority=spec.priority,
            restart_s=spec.restart_s if spec.preemptible else inf,
            checkpoint_s=spec.checkpoint_s if spec.preemptible else 0.0,
            least=least,
            most=most,
            scaling=spec.scaling if least or most else 1.0,
        )
