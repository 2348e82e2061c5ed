"""A live loop in one's hands: real store and scheduler, time by hand, sites that misbehave.

`Site` stands in for a compute centre that hangs, does not answer, refuses or forgets: what a
real one does only when it is broken. The runs of healthy sites are tested with real processes.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field, replace
from typing import Final

from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord, RunOrder, RunPhase, RunReport, Store
from tieline.files.fit import Offer
from tieline.model.errors import EngineUnavailable, OrderRefused
from tieline.model.job import JobSpec
from tieline.model.network import Network, Pool, Region, Tenant
from tieline.model.network import Site as SiteModel
from tieline.model.workload import Workload
from tieline.scheduling.registry import policy_named
from tieline.service.control_plane import ControlPlane
from tieline.service.leadership import Term
from tieline.service.live.links import Links
from tieline.service.live.loop import Loop, LoopSettings
from tieline.service.live.sites import Patience
from tieline.service.steady import SteadyClock

EAST: Final = "east-1/nvidia-h200-sxm"
WEST: Final = "west-1/huawei-910b2"
SETTINGS: Final = LoopSettings(
    patience=Patience(in_tick_s=0.2, closed_after_s=3.0, unknown_after_s=30.0), kept_runs=3
)


def pool(name: str, capacity: int) -> Pool:
    """Give a pool of one node; its id names site and accelerator."""
    site, accelerator = name.split("/")
    return Pool(name, site, accelerator, nodes=1, accelerators_per_node=capacity)


def network(east: int = 4, west: int = 4) -> Network:
    """Give two sites with one pool each, built for different stacks."""
    sites = (
        SiteModel("east-1", "east", (pool(EAST, east),)),
        SiteModel("west-1", "west", (pool(WEST, west),)),
    )
    return Network("two", (Region("east"), Region("west")), sites, tenants=(Tenant("lab"),))


def job(count: int = 1, *stacks: str, idempotent: bool = False) -> JobSpec:
    """Give a job for CUDA, which east has, unless other stacks are named."""
    commands = dict.fromkeys(stacks or ("cuda",), "true")
    return JobSpec("lab", Workload("hpc"), count, commands, estimate_s=1.0, idempotent=idempotent)


@dataclass
class Site:
    """Stands in for an engine; it does what the test sets it to."""

    store: Store
    reports: dict[str, RunReport] = field(default_factory=dict)
    asked: list[RunOrder] = field(default_factory=list)
    """Every call of `submit` that got through."""
    told_to_end: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    stored: list[Status] = field(default_factory=list)
    """What the store said of a job when its order came."""
    down: str = ""
    """Why it does not answer; empty when it does."""
    closed: str = ""
    """Why it takes no new work; empty when it does."""
    usable: dict[str, int] = field(default_factory=dict)
    """Accelerators that work, by pool."""
    lease: float | None = None
    refuses: str = ""
    starts: bool = True
    """Whether orders run at once, or are only acknowledged."""
    answers: threading.Event = field(default_factory=threading.Event)
    """Cleared: every call hangs."""

    def __post_init__(self) -> None:
        """Answer at first."""
        self.answers.set()

    def submit(self, order: RunOrder) -> None:
        """See `Engine.submit`."""
        self._reach()
        if self.refuses:
            raise OrderRefused(self.refuses)
        self.asked.append(order)
        self.stored.append(self.store.job(order.job_id).status)
        self.reports.setdefault(order.token, RunReport(order.token, RunPhase.ACCEPTED))
        if self.starts:
            self.set(order.token, RunPhase.RUNNING, started_at=1.0)

    def observe(self) -> Mapping[str, RunReport]:
        """See `Engine.observe`."""
        self._reach()
        return dict(self.reports)

    @property
    def lease_s(self) -> float | None:
        """See `Engine.lease_s`."""
        return self.lease

    def capacity(self) -> Mapping[str, int]:
        """See `Engine.capacity`."""
        self._reach()
        if self.closed:
            raise EngineUnavailable(self.closed)
        return self.usable

    def cancel(self, token: str) -> None:
        """See `Engine.cancel`; the end itself is left to the test."""
        self._reach()
        self.told_to_end.append(token)

    def log(self, token: str, offset: int = 0, limit: int = 1 << 16) -> bytes:
        """See `Engine.log`."""
        self._reach()
        return b"output"[offset : offset + limit] if token in self.reports else b""

    def forget(self, tokens: Sequence[str]) -> None:
        """See `Engine.forget`."""
        self._reach()
        self.forgotten += tokens
        for token in tokens:
            self.reports.pop(token, None)

    def close(self) -> None:
        """See `Engine.close`."""

    def set(self, token: str, phase: RunPhase, **details: float | str) -> None:
        """Let a run be in a phase."""
        self.reports[token] = replace(
            self.reports.get(token, RunReport(token, phase)), phase=phase, **details
        )

    def _reach(self) -> None:
        assert self.answers.wait(30)
        if self.down:
            raise EngineUnavailable(self.down)


class Bench:
    """A loop on a store, ticked by hand."""

    def __init__(self, store: Store, network: Network) -> None:
        """Start with healthy sites."""
        self.store = store
        self.sites = {
            site.id: Site(store, usable={pool.id: pool.capacity for pool in site.pools})
            for site in network.sites
        }
        self.time = 1000.0
        self.clock_off = 0.0
        """How far the clock of the machine is off."""
        self.restart(network)

    def restart(self, network: Network) -> None:
        """Go on with a new loop, as after a crash; the sites stay as they are."""
        offer = Offer(network)
        self.loop = Loop(
            offer=offer,
            policy=policy_named("price"),
            store=self.store,
            links=Links(network, self.sites, self.store, SETTINGS.patience, Term()),
            clock=SteadyClock(self, lambda: self.time),
            settings=SETTINGS,
        )
        self.plane = ControlPlane(
            offer=offer, store=self.store, clock=self, loop=lambda: self.loop
        )

    @property
    def east(self) -> Site:
        """The site with CUDA."""
        return self.sites["east-1"]

    @property
    def west(self) -> Site:
        """The site with CANN."""
        return self.sites["west-1"]

    def now(self) -> float:
        """Give the time that the test has set, as the clock of the machine tells it."""
        return self.time + self.clock_off

    def tick(self, times: int = 1, step_s: float = 0.2) -> None:
        """Let time pass and the loop go round; give the sites' threads a moment to follow."""
        for _ in range(times):
            self.time += step_s
            self.loop.tick(self.time)
            self._settle()

    def _settle(self) -> None:
        """Wait a moment until the sites' threads have done what they were asked."""
        lines = [
            line
            for link in self.loop._links  # noqa: SLF001 - what no loop waits for
            for line in (link._line, link._side_line)  # noqa: SLF001 - the same
        ]
        wait([line.call(lambda: None) for line in lines], timeout=0.05)

    def until(self, condition: Callable[[], object]) -> None:
        """Go round until the condition holds."""
        for _ in range(200):
            if condition():
                return
            self.tick()
        raise AssertionError("200 rounds in vain")

    def submit(self, *specs: JobSpec) -> list[str]:
        """Submit jobs and give their ids."""
        return [record.id for record in self.plane.submit(specs)]

    def record(self, job_id: str) -> JobRecord:
        """Give a job as stored."""
        return self.store.job(job_id)

    def status(self, job_id: str) -> Status:
        """Give the status of a job as stored."""
        return self.record(job_id).status

    def free(self, pool_id: str) -> int:
        """Give the free accelerators of a pool."""
        return next(view.free for view in self.plane.pools() if view.pool.id == pool_id)

    def running(self, *specs: JobSpec) -> list[str]:
        """Submit jobs, wait until they run, and give their ids."""
        jobs = self.submit(*specs)
        self.until(lambda: all(self.status(one) is Status.RUNNING for one in jobs))
        return jobs
