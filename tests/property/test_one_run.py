"""One run: whatever sites and leaders do, no job that must not is alive twice, and all end.

Sites here are a model of what engines promise: a token starts at most once, a cancelled one never
does, runs that may run again end with the site's lease, and a site obeys no leader but the latest
that it has heard of. All else happens at random: sites fall silent, lose answers and memory, evict
and kill runs; leaders are overtaken and go on for a while as if they were not.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from loop_bench import network
from tieline.control.lifecycle import Status
from tieline.control.ports import RunOrder, RunPhase, RunReport
from tieline.files.fit import Offer
from tieline.model.errors import EngineUnavailable, NotLeader
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.scheduling.registry import policy_named
from tieline.service.audit import audit
from tieline.service.leadership import Term
from tieline.service.live.links import Links
from tieline.service.live.loop import Loop, LoopSettings
from tieline.service.live.sites import Patience
from tieline.service.steady import SteadyClock
from tieline.store import open_store

NETWORK = network()
SETTINGS = LoopSettings(patience=Patience(in_tick_s=5.0, elsewhere_after_s=300.0), kept_runs=3)
LEASE_S = 120.0
LEADER_LEASE_S = 10.0
ALIVE = (RunPhase.ACCEPTED, RunPhase.RUNNING)


@dataclass
class Place:
    """A site, as it really is."""

    capacity: Mapping[str, int]
    lease_s: float | None
    runs: dict[str, tuple[RunOrder, RunReport]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    """Runs of which it does not know for now."""
    epoch: int = 0
    until: float = 0.0
    """When the lease of its runs is over."""
    luck: random.Random = field(default_factory=random.Random)
    """Its own, because its threads draw from it."""
    down: bool = False
    loses_answers: bool = False


class World:
    """Sites, time, and a watch over what is alive."""

    def __init__(self, seed: int) -> None:
        """Begin with two healthy sites, one of which has a lease."""
        self.rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.time = 1000.0
        self.places = {
            site.id: Place(
                {pool.id: pool.capacity for pool in site.pools},
                lease_s,
                luck=random.Random(seed + len(site.id)),  # noqa: S311 - the same
            )
            for site, lease_s in zip(NETWORK.sites, (LEASE_S, None), strict=True)
        }
        self.starts = 1.0
        """Chance of an order to start between two looks."""
        self.started = Counter[str]()
        self.may_be_twice: set[str] = set()
        """Jobs of which a second run does no harm, even beside the first."""

    def now(self) -> float:
        """Give the time."""
        return self.time

    def set(self, place: Place, token: str, phase: RunPhase) -> None:
        """Let a run be in another phase; it must be alive."""
        order, report = place.runs[token]
        assert report.phase in ALIVE
        if phase is RunPhase.RUNNING:
            self.started[token] += 1
            assert self.started[token] == 1, f"{token} started twice"
            self._check_alone(order)
        ended = None if phase in ALIVE else self.time
        begun = report.started_at or self.time
        place.runs[token] = order, RunReport(token, phase, started_at=begun, ended_at=ended)

    def pass_time(self, seconds: float) -> None:
        """Let time pass at the sites: leases run out, orders start, runs go on."""
        for place in self.places.values():
            self._end_lease(place, self.time + seconds)
        self.time += seconds
        for place in self.places.values():
            for token in list(place.runs):
                self._move(place, token)

    def alive(self, phase: RunPhase = RunPhase.RUNNING) -> Iterator[tuple[Place, str]]:
        """Give all runs in a phase."""
        for place in self.places.values():
            for token, (_, report) in list(place.runs.items()):
                if report.phase is phase:
                    yield place, token

    def check_capacity(self) -> None:
        """Demand that no site runs more than it has."""
        for place in self.places.values():
            used = Counter[str]()
            for order, report in place.runs.values():
                if report.phase is RunPhase.RUNNING:
                    used[order.pool] += order.count
            assert all(used[pool] <= size for pool, size in place.capacity.items())

    def _check_alone(self, order: RunOrder) -> None:
        others = [t for _, t in self.alive() if t.rpartition(".")[0] == order.job_id]
        assert not others or order.job_id in self.may_be_twice, f"{order.token} beside {others}"
        earlier = [t for t in self.started if t.rpartition(".")[0] == order.job_id]
        assert order.may_run_again or earlier == [order.token], f"{earlier}: run again"

    def _end_lease(self, place: Place, by: float) -> None:
        if place.lease_s is None or by < place.until:
            return
        for token, (order, report) in list(place.runs.items()):
            if order.may_run_again and report.phase is RunPhase.RUNNING:
                self.set(place, token, RunPhase.EVICTED)

    def _move(self, place: Place, token: str) -> None:
        order, report = place.runs[token]
        if report.phase not in ALIVE:
            return
        if token in place.cancelled:
            self.set(place, token, RunPhase.STOPPED)
        elif report.phase is RunPhase.ACCEPTED and self.rng.random() < self.starts:
            led = place.lease_s is None or self.time < place.until
            starts = led or not order.may_run_again
            self.set(place, token, RunPhase.RUNNING if starts else RunPhase.EVICTED)


class Speaker:
    """An engine, for one epoch."""

    def __init__(self, world: World, place: Place, epoch: int) -> None:
        """Know nothing of the site yet."""
        self._world = world
        self._place = place
        self._epoch = epoch
        self._heard_at: float | None = None
        self.cut = False
        """Whether this control plane, of all, does not reach the site."""

    @property
    def lease_s(self) -> float | None:
        """See `Engine.lease_s`: the site's own, counted from the answer before the last."""
        own = self._place.lease_s
        return None if own is None else own + 1.0

    def submit(self, order: RunOrder) -> None:
        """See `Engine.submit`."""
        place = self._reach(writes=True)
        self._prolong()
        if order.token not in place.runs and order.token not in place.cancelled:
            place.runs[order.token] = order, RunReport(order.token, RunPhase.ACCEPTED)
        self._answer()

    def observe(self) -> Mapping[str, RunReport]:
        """See `Engine.observe`."""
        place = self._reach(writes=False)
        self._prolong()
        self._answer()
        self._heard_at = self._world.time
        return {t: report for t, (_, report) in place.runs.items() if t not in place.forgotten}

    def capacity(self) -> Mapping[str, int]:
        """See `Engine.capacity`."""
        return self._reach(writes=False).capacity

    def cancel(self, token: str) -> None:
        """See `Engine.cancel`."""
        self._reach(writes=True).cancelled.add(token)
        self._answer()

    def log(self, *_given: object) -> bytes:
        """See `Engine.log`; nobody reads here."""
        return b""

    def forget(self, tokens: Sequence[str]) -> None:
        """See `Engine.forget`."""
        place = self._reach(writes=True)
        for token in tokens:
            assert place.runs[token][1].phase not in ALIVE
            del place.runs[token]

    def close(self) -> None:
        """See `Engine.close`."""

    def _reach(self, *, writes: bool) -> Place:
        place = self._place
        if place.down or self.cut:
            raise EngineUnavailable("no route")
        if writes and self._epoch < place.epoch:
            raise EngineUnavailable("a later control plane leads")
        place.epoch = max(place.epoch, self._epoch)
        return place

    def _prolong(self) -> None:
        """Prolong the lease, from the last answer on: a late request makes it no longer."""
        place = self._place
        if place.lease_s is not None and self._heard_at is not None:
            place.until = max(place.until, self._heard_at + place.lease_s)

    def _answer(self) -> None:
        if self._place.loses_answers and self._place.luck.random() < 0.5:
            raise EngineUnavailable("the answer was lost")


class Town:
    """A store, a leader and those that were it, over the world."""

    def __init__(self, world: World, url: str) -> None:
        """Begin with a leader, and a new store."""
        self.world = world
        self.url = url
        self.store = open_store(url)
        self.past: list[Loop] = []
        self.begin()

    def begin(self) -> None:
        """Let a new leader begin; the one before it does not hear of that."""
        epoch = self.store.lead("one", "", lease_s=0.0)
        assert epoch is not None
        self.term = Term(epoch, lease_s=LEADER_LEASE_S, running=self.world.now)
        self.engines = {
            site: Speaker(self.world, place, epoch) for site, place in self.world.places.items()
        }
        links = Links(NETWORK, self.engines, self.store, SETTINGS.patience, self.term)
        self.loop = Loop(
            offer=Offer(NETWORK),
            policy=policy_named("price"),
            store=self.store,
            links=links,
            clock=SteadyClock(self.world, self.world.now),
            settings=SETTINGS,
        )

    def overtake(self) -> None:
        """Let another one lead, and the leader go on as if it did."""
        self.past.append(self.loop)
        self.begin()

    def tick(self, loop: Loop) -> None:
        """Let a loop go round, and its sites' threads follow."""
        if loop is self.loop:
            self.term.confirm(self.world.time)
        with suppress(NotLeader):
            loop.tick(self.world.time)
        lines = [line for link in loop._links for line in (link._line, link._side_line)]  # noqa: SLF001
        wait([line.call(lambda: None) for line in lines])

    def submit(self, *, preemptible: bool, idempotent: bool, count: int) -> None:
        """Submit a job."""
        spec = JobSpec("lab", Workload("hpc"), count, {"cuda": "x", "cann": "x"}, estimate_s=60.0)
        spec = replace(spec, preemptible=preemptible, idempotent=idempotent, restart_s=1.0)
        (record,) = self.store.add_jobs([spec], now=self.world.time)
        if idempotent:
            self.world.may_be_twice.add(record.id)

    def close(self) -> None:
        """End all loops, and close the store."""
        for loop in (*self.past, self.loop):
            loop.close()
        self.store.close()


@contextmanager
def town(seed: int) -> Iterator[Town]:
    """Give a town, closed afterwards."""
    with (
        TemporaryDirectory() as folder,
        closing(Town(World(seed), f"sqlite:///{folder}/db")) as it,
    ):
        yield it


@dataclass(frozen=True)
class Plot:
    """What may happen, and how often."""

    events: tuple[str, ...]
    kinds: tuple[tuple[bool, bool], ...] = (
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    )
    """Jobs: preemptible or not, idempotent or not."""
    starts: float = 0.7
    """Chance of an order to start between two looks."""
    sites: tuple[str, ...] = ("east-1", "west-1")
    """Where something may befall a site."""


ENDS = ("succeeded", "failed", "evicted", "vanished")
USUAL = ("submit",) * 3 + ("cancel", *ENDS, "cut", "overtake", "overtake", "past", "past")
PLOTS = (
    Plot((*USUAL, "down", "down", "answers")),
    Plot((*USUAL, "down", "answers", "memory")),
    # A site with a lease is cut off, again and again, while leaders change.
    Plot(
        ("submit", "down", "down", "cut", "overtake", "past", "answers"),
        kinds=((True, False),),
        starts=0.2,
        sites=("east-1",),
    ),
)
PAUSES = (0.2, 0.2, 1.0, 5.0, 40.0, 140.0, 320.0)


def happen(what: str, it: Town, plot: Plot) -> None:
    """Let one thing happen."""
    rng = it.world.rng
    if what in ENDS:
        for place, token in it.world.alive():
            if rng.random() < 0.5:
                it.world.set(place, token, RunPhase(what))
    elif what == "submit":
        preemptible, idempotent = rng.choice(plot.kinds)
        it.submit(preemptible=preemptible, idempotent=idempotent, count=rng.randint(1, 2))
    elif what == "cancel":
        for job in it.store.jobs(limit=5)[:1]:
            it.store.request_cancel(job.id, now=it.world.time)
    elif what == "overtake":
        it.overtake()
    elif what == "past":
        for loop in it.past[-2:]:
            it.tick(loop)
    else:
        site = rng.choice(plot.sites)
        befall(what, it.world, it.world.places[site], it.engines[site])


def befall(what: str, world: World, place: Place, leader: Speaker) -> None:
    """Let something happen to a site, or be over."""
    if what == "down":
        place.down = not place.down
    elif what == "cut":
        leader.cut = not leader.cut
    elif what == "answers":
        place.loses_answers = not place.loses_answers
    else:
        here = {token for where, token in world.alive() if where is place}
        place.forgotten = set() if place.forgotten else here


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from(PLOTS))
def test_no_job_is_alive_twice_and_every_job_ends(seed: int, plot: Plot) -> None:
    """No token starts twice, no job runs beside itself unless it may, and in peace all end.

    The audit of the store finds nothing.
    """
    with town(seed) as it:
        rng, it.world.starts = it.world.rng, plot.starts
        for _ in range(rng.randint(20, 80)):
            happen(rng.choice(plot.events), it, plot)
            it.world.pass_time(rng.choice(PAUSES))
            it.tick(it.loop)
            if "memory" not in plot.events:
                it.world.check_capacity()
        for engine in it.engines.values():
            engine.cut = False
        for place in it.world.places.values():
            place.down, place.loses_answers, place.forgotten = False, False, set()
        for _ in range(200):
            it.world.pass_time(20.0)
            it.tick(it.loop)
            for place, token in it.world.alive():
                it.world.set(place, token, RunPhase.SUCCEEDED)
            if all(job.status.ended for job in it.store.jobs(limit=100)):
                break
        left = [job for job in it.store.jobs(limit=100) if not job.status.ended]
        assert left == []
        done = {job.id for job in it.store.jobs(limit=100, status=[Status.SUCCEEDED])}
        assert done <= {token.rpartition(".")[0] for token in it.world.started}
        assert audit(it.url, NETWORK)[1] == []
