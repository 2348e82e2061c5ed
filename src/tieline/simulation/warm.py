"""Compile every kernel once, so that no first run waits: `python -m tieline.simulation.warm`.

The machine code is kept on disk (`tieline.scheduling.compiled`). Without a change in the
sources a second call only loads it. Names of policies may follow, for those alone; two calls
side by side share what they compile.
"""

import sys

import numpy as np

from tieline.control.cycle import Observations, run_cycle
from tieline.control.state import State
from tieline.model.accelerator import REFERENCE
from tieline.model.catalogue import catalogue
from tieline.model.job import JobKind
from tieline.model.network import Dataset, Link, Network, Pool, Region, Site, Tenant
from tieline.model.rates import RateBook
from tieline.model.trace import Trace
from tieline.model.workload import Workload
from tieline.scheduling.explain import explain
from tieline.scheduling.policy import Policy
from tieline.scheduling.registry import POLICIES, policy_named
from tieline.simulation.bound import bound_of
from tieline.simulation.replay import replay

_WORK = Workload("training")


def main() -> None:
    """Run a few jobs through everything that is compiled."""
    policies = [policy_named(name) for name in sys.argv[1:] or POLICIES]
    for policy in policies:
        bound_of(replay(_network(), _trace(), policy, catalogue()))
        _live(policy)
    _stop_and_grow()
    sys.stdout.write(f"the kernels of {len(policies)} policies are compiled\n")


def _network() -> Network:
    sites = [
        Site(
            name,
            f"at-{name}",
            (Pool(f"{name}/pool", name, REFERENCE, nodes=2, accelerators_per_node=2),),
        )
        for name in ("one", "two")
    ]
    regions = tuple(Region(site.region) for site in sites)
    return Network(
        "warm",
        regions,
        tuple(sites),
        links=(Link((regions[0].id, regions[1].id), 1.0),),
        tenants=(Tenant("t", home="one"),),
        datasets=(Dataset("d", 1.0, frozenset({"one"})),),
    )


def _trace() -> Trace:
    """Give two jobs, of which one has to wait, with data at one site."""
    return Trace(
        name="warm",
        submit_s=np.array([0.0, 1.0]),
        duration_s=np.array([10.0, 10.0]),
        count=np.array([3, 4], np.int32),
        tenant=np.zeros(2, np.int32),
        workload=np.zeros(2, np.int32),
        tenants=("t",),
        workloads=(_WORK,),
        datasets=("d",),
        dataset=np.zeros(2, np.int32),
    )


def _live(policy: Policy) -> None:
    """Take up a running job, cancel a waiting one and explain another, as the live loop does."""
    network = _network()
    state = State(network, policy, catalogue(), RateBook(catalogue()))
    kind = state.intern(JobKind("t", _WORK, 3))
    first = state.add(np.full(4, kind, np.int32), np.full(4, 10.0), np.zeros(4))
    rows = np.arange(first, first + 4)
    state.restore(rows[:1], np.zeros(1, np.int64), np.zeros(1))
    run_cycle(state, Observations(submitted=rows[1:]), 0.0)
    run_cycle(state, Observations(withdrawn=rows[2:3]), 1.0)
    explain(state.snapshot, policy, network.pools, int(rows[3]))


def _stop_and_grow() -> None:
    """Let a running job make way for a shorter one, and give one more than it needs."""
    state = State(_network(), POLICIES["price"], catalogue(), RateBook(catalogue()))
    long = state.intern(JobKind("t", _WORK, 4, restart_s=1.0))
    short = state.intern(JobKind("t", _WORK, 3, most=4))
    kinds = np.array([long, long, short], np.int32)
    first = state.add(kinds, np.array([1000.0, 1000.0, 1.0]), np.zeros(3))
    run_cycle(state, Observations(submitted=np.arange(first, first + 2)), 0.0)
    actions, _, _ = run_cycle(state, Observations(submitted=np.array([first + 2])), 1.0)
    stopped = actions.stops.astype(np.int64)
    run_cycle(state, Observations(ended=stopped, submitted=stopped), 1.0)


if __name__ == "__main__":
    main()
