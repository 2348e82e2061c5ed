"""Made-up networks and jobs, and how to run them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from tieline.control.state import State
from tieline.model.accelerator import Accelerator
from tieline.model.job import JobKind
from tieline.model.network import Network, Pool, Region, Site, Tenant
from tieline.model.rates import RateBook
from tieline.model.throughputs import ThroughputTable
from tieline.model.workload import Workload
from tieline.scheduling.policy import Policy
from tieline.simulation.driver import Watcher, simulate
from tieline.simulation.schedule import Schedule

MODELS = ("a", "b", "c", "d")
CHIPS = {name: Accelerator(name, name.upper(), "V", "US", "cuda") for name in (*MODELS, "base")}


@dataclass(frozen=True)
class Job:
    """One job: the index of its kind, when it comes, how long it runs at rate 1."""

    kind: int
    submit: float
    run: float
    estimate: float | None = None
    """What the scheduler believes; None means the truth."""


@dataclass(frozen=True)
class Case:
    """A network, kinds of job with their speeds, and jobs in order of submission."""

    network: Network
    kinds: tuple[JobKind, ...]
    speeds: tuple[Mapping[str, float], ...]
    """For each kind, its rate by accelerator; absent means 0."""
    jobs: tuple[Job, ...] = ()
    closed: tuple[int, ...] = field(default=())

    def state(self, policy: Policy, order: Sequence[int] | None = None) -> State:
        """Give a state that knows all jobs; kinds are met in the given order."""
        steps = {
            (kind.workload.model or "", chip, count): rate
            for kind, speeds in zip(self.kinds, self.speeds, strict=True)
            for chip, rate in {**dict.fromkeys(CHIPS, 0.0), **speeds, "base": 1.0}.items()
            for count in kind.sizes
        }
        rates = RateBook(CHIPS, relative_to="base", throughputs=ThroughputTable(steps, "base"))
        state = State(self.network, policy, CHIPS, rates)
        rows = {k: state.intern(self.kinds[k]) for k in order or range(len(self.kinds))}
        state.add(
            np.array([rows[job.kind] for job in self.jobs], np.int32),
            np.array([job.run if job.estimate is None else job.estimate for job in self.jobs]),
            self.submit,
        )
        return state

    @property
    def submit(self) -> np.ndarray:
        """When each job comes."""
        return np.array([job.submit for job in self.jobs])

    def run(
        self, policy: Policy, state: State | None = None, watch: Watcher | None = None
    ) -> Schedule:
        """Run every job, also those that can never start, until nothing happens any more."""
        state = self.state(policy) if state is None else state
        run = np.array([job.run for job in self.jobs])
        return simulate(state, self.submit, run, np.ones(len(self.jobs), np.bool_), watch)

    def may_use(self, k: int, pool: Pool) -> bool:
        """Whether jobs of the kind can ever run on the pool, by the rules in words."""
        kind = self.kinds[k]
        tenant = next(tenant for tenant in self.network.tenants if tenant.id == kind.tenant)
        region = self.network.site_region[pool.site]
        smallest = min(
            tenant.quotas.get(pool.accelerator, kind.count),
            tenant.quotas.get("total", kind.count),
        )
        return (
            self.speeds[k].get(pool.accelerator, 0.0) > 0
            and kind.count <= pool.capacity
            and kind.count <= smallest
            and kind.sensitivity in pool.trust
            and (not kind.residency or region in kind.residency)
        )

    def home_of(self, k: int) -> str | None:
        """Give the home site of the kind's tenant."""
        homes = {tenant.id: tenant.home for tenant in self.network.tenants}
        return homes[self.kinds[k].tenant]


def network(
    pools: Sequence[tuple[int, str, int, int]],
    tenants: Sequence[Tenant] = (Tenant("t0"),),
    trusts: Sequence[frozenset[str]] = (),
) -> Network:
    """Give a network of pools (site, model, nodes, accelerators per node); site 1 in region 1."""
    trusts = trusts or [frozenset({"open"})] * len(pools)
    sites = tuple(
        Site(
            f"s{site}",
            f"r{site % 2}",
            tuple(
                Pool(f"s{site}/p{i}", f"s{site}", model, nodes, size, trust)
                for i, ((at, model, nodes, size), trust) in enumerate(
                    zip(pools, trusts, strict=True)
                )
                if at == site
            ),
        )
        for site in sorted({at for at, *_ in pools})
    )
    return Network("made", (Region("r0"), Region("r1")), sites, tenants=tuple(tenants))


def kind(k: int, count: int, tenant: str = "t0", **rest: object) -> JobKind:
    """Give a kind of job whose speeds no other kind shares."""
    return JobKind(tenant, Workload("training", f"w{k}"), count, **rest)  # type: ignore[arg-type]


def one_kind(pools: Sequence[tuple[int, str, int, int]], count: int, jobs: Sequence[Job]) -> Case:
    """Give a case with one kind of job that runs everywhere at rate 1."""
    return Case(network(pools), (kind(0, count),), (dict.fromkeys(MODELS, 1.0),), tuple(jobs))


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    jobs: int = 25,
    rates: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0),
    quotas: bool = True,
    filters: bool = True,
    exact: bool = True,
    shortest_run: float = 0.0,
) -> Case:
    """Draw a case: four pools at three sites, five kinds of job of three tenants, or fewer.

    Parameters
    ----------
    jobs
        At most so many.
    rates
        Speeds that a kind can have on a model.
    quotas, filters
        Whether tenants have quotas, and jobs are kept off pools by trust and residency.
    exact
        Whether the scheduler knows the true run times.
    """
    parts = st.tuples(
        st.integers(0, 2), st.sampled_from(MODELS), st.integers(1, 3), st.integers(1, 4)
    )
    made = sorted(draw(st.lists(parts, min_size=1, max_size=len(MODELS))))
    trust = st.sampled_from([frozenset({"open"}), frozenset({"open", "sensitive"})])
    trusts = [draw(trust) if filters else frozenset({"open"}) for _ in made]
    sites = sorted({f"s{site}" for site, *_ in made})
    limit = st.dictionaries(st.sampled_from([*MODELS, "total"]), st.integers(1, 9), max_size=2)
    tenants = [
        Tenant(
            f"t{i}",
            home=draw(st.sampled_from([*sites, None])),
            quotas=draw(limit) if quotas else {},
        )
        for i in range(draw(st.integers(1, 3)))
    ]
    kinds = [
        kind(
            k,
            draw(st.one_of(st.integers(1, 4), st.integers(1, 14))),
            draw(st.sampled_from(tenants)).id,
            sensitivity=draw(st.sampled_from(["open", "open", "sensitive"]))
            if filters
            else "open",
            residency=draw(st.sampled_from([frozenset(), frozenset({"r0"})]))
            if filters
            else frozenset(),
        )
        for k in range(draw(st.integers(1, 5)))
    ]
    speeds = [{model: draw(st.sampled_from(rates)) for model in MODELS} for _ in kinds]
    run = st.one_of(st.integers(0, 20), st.floats(0.1, 50.0)).map(lambda x: x + shortest_run)
    job = st.builds(
        Job,
        st.integers(0, len(kinds) - 1),
        st.one_of(st.integers(0, 30), st.floats(0.0, 60.0)).map(float),
        run.map(float),
        st.none() if exact else st.one_of(st.none(), st.floats(0.0, 500.0)),
    )
    drawn = draw(st.lists(job, max_size=jobs))
    return Case(
        network(made, tenants, trusts),
        tuple(kinds),
        tuple(speeds),
        tuple(sorted(drawn, key=lambda job: job.submit)),
    )


def drawn_market(seed: int, counts: Sequence[int] = (1, 1, 2, 4, 8)) -> Case:
    """Give a small market from a seed: unequal pools, gangs and speeds, long and short jobs."""
    rng = np.random.default_rng(seed)
    pools = [
        (i % 3, MODELS[i], int(rng.integers(1, 4)), int(rng.integers(1, 12)))
        for i in range(rng.integers(1, 5))
    ]
    kinds = [kind(k, int(rng.choice(counts))) for k in range(rng.integers(1, 9))]
    speeds = [
        {m: float(rng.uniform(0.2, 3) * (rng.random() > 0.1)) for m in MODELS} for _ in kinds
    ]
    jobs = [
        Job(int(rng.integers(len(kinds))), 0.0, float(rng.lognormal(6, 1.5)))
        for _ in range(rng.integers(1, 40))
    ]
    return Case(network(sorted(pools)), tuple(kinds), tuple(speeds), tuple(jobs))
