"""Made-up networks with data, and the slow twins of sharing links and choosing a region."""

from collections.abc import Sequence
from fractions import Fraction
from math import inf

import numpy as np
from hypothesis import strategies as st

from tieline.control.cycle import Actions
from tieline.control.state import State
from tieline.model.accelerator import Accelerator
from tieline.model.job import JobKind
from tieline.model.network import Dataset, Link, Network, Pool, Region, Site, Tenant
from tieline.model.rates import RateBook
from tieline.model.throughputs import ThroughputTable
from tieline.model.workload import Workload
from tieline.scheduling.policy import Policy

CHIPS = {name: Accelerator(name, name, "V", "US", "cuda") for name in ("slow", "fast")}


def slow_shares(paths: Sequence[Sequence[int]], bandwidth: Sequence[float]) -> list[Fraction]:
    """Give max-min fair speeds exactly: raise all alike until a link is full, freeze, go on."""
    speed = [Fraction(0)] * len(paths)
    rising = set(range(len(paths)))
    while rising:
        steps = []
        for link, width in enumerate(bandwidth):
            users = [i for i in rising if link in paths[i]]
            used = sum((speed[i] for i in range(len(paths)) if link in paths[i]), Fraction(0))
            if users:
                steps.append((Fraction(width) - used) / len(users))
        for i in rising:
            speed[i] += min(steps)
        full = {
            link
            for link, width in enumerate(bandwidth)
            if sum((speed[i] for i in range(len(paths)) if link in paths[i]), Fraction(0))
            >= Fraction(width)
        }
        rising = {i for i in rising if not full & set(paths[i])}
    return speed


def two_pools(
    bandwidth: float,
    *,
    size: float = 1000.0,
    usd_per_byte: float = 0.0,
    value: float | None = None,
    count: int = 1,
) -> Network:
    """Give a slow pool beside dataset `d`, and a fast one at the other end of the only link."""
    sites = tuple(
        Site(f"s-{chip}", f"r-{chip}", (Pool(chip, f"s-{chip}", chip, 1, count),))
        for chip in ("slow", "fast")
    )
    return Network(
        "two",
        (Region("r-slow"), Region("r-fast")),
        sites,
        links=(Link(("r-slow", "r-fast"), bandwidth, 0.0, usd_per_byte),),
        tenants=(Tenant("t", home="s-slow"),),
        datasets=(Dataset("d", size, frozenset({"s-slow"})),),
        usd_per_accelerator_hour=value,
    )


def state_of(
    network: Network,
    policy: Policy,
    speedup: float,
    kinds: Sequence[tuple[str, ...]],
    *,
    count: int = 1,
    restart_s: float = inf,
) -> State:
    """Give a state with one kind of job per tuple of datasets, rows 0.. in that order."""
    steps = {("w", "slow", count): 1.0, ("w", "fast", count): speedup}
    rates = RateBook(CHIPS, relative_to="slow", throughputs=ThroughputTable(steps, "slow"))
    state = State(network, policy, CHIPS, rates, moves_data=True)
    work = Workload("training", "w")
    for names in kinds:
        state.intern(JobKind("t", work, count, datasets=names, restart_s=restart_s))
    return state


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Draw up to four regions with links between some of them, small caches and datasets.

    Links may be missing, form rings, or have no bandwidth.
    """
    n = draw(st.integers(2, 4))
    regions = [f"r{i}" for i in range(n)]
    sites = tuple(
        Site(
            f"s{i}",
            region,
            (
                Pool(
                    f"s{i}/p",
                    f"s{i}",
                    draw(st.sampled_from(["slow", "fast"])),
                    1,
                    draw(st.integers(1, 3)),
                ),
            ),
            cache_bytes=draw(st.sampled_from([0.0, 100.0, 250.0, inf])),
        )
        for i, region in enumerate(regions)
    )
    pairs = [(a, b) for i, a in enumerate(regions) for b in regions[i + 1 :]]
    links = tuple(
        Link(pair, draw(st.sampled_from([0.0, 1.0, 7.0, 50.0])), 0.0, draw(st.floats(0, 1)))
        for pair in draw(st.lists(st.sampled_from(pairs), unique=True))
    )
    datasets = tuple(
        Dataset(
            f"d{i}",
            draw(st.sampled_from([0.0, 50.0, 100.0, 200.0])),
            frozenset(draw(st.lists(st.sampled_from([s.id for s in sites]), max_size=2))),
        )
        for i in range(draw(st.integers(1, 4)))
    )
    return Network(
        "drawn",
        tuple(Region(region) for region in regions),
        sites,
        links=links,
        tenants=(Tenant("t", home="s0"),),
        datasets=datasets,
        usd_per_accelerator_hour=draw(st.sampled_from([None, 1.0, 1000.0])),
    )


def check_links(state: State) -> None:
    """Demand that no link carries more than its bandwidth, and no cache holds more than fits."""
    replicas = state.replicas
    carried = np.zeros(len(replicas.routes.bandwidth) - 1)
    for key, speed in replicas.traffic.speeds().items():
        carried[replicas.traffic.path(key)] += speed
        assert speed > 0
    assert (carried <= replicas.routes.bandwidth[:-1] * (1 + 1e-9)).all()
    assert (replicas.used_bytes() <= replicas.cache).all()
    assert (replicas.held >= replicas.original).all()


def check_starts(state: State, actions: Actions) -> None:
    """Demand that every running job has all its data where it runs, and that moves are new."""
    s, replicas = state.snapshot, state.replicas
    for row in s.running[: s.n_running[0]].tolist() if state.moves_data else ():
        kind = state.kinds[s.jobs[row]["kind"]]
        market = s.pools[s.jobs[row]["pool"]]["market"]
        region = s.markets[market]["region"]
        assert replicas.present(replicas.rows(kind.datasets))[region]
    names = [(move.dataset, move.to) for move in actions.moves]
    assert len(names) == len(set(names))
    for row, region in state.bound.items():
        assert s.jobs[row]["waiting"]
        assert not replicas.present(state.data_kinds[s.kinds["cold"][s.jobs[row]["kind"]]])[region]
