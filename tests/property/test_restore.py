"""Jobs that hold accelerators when a state begins: what is held and what is free add up."""

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.cycle import Observations, absorb, run_cycle
from tieline.control.state import State
from tieline.files.fit import Offer
from tieline.model.job import JobKind
from tieline.model.network import Network, Pool, Region, Site
from tieline.model.workload import Workload
from tieline.scheduling.registry import policy_named

POOLS = (
    Pool("a/p", "a", "nvidia-h200-sxm", nodes=3, accelerators_per_node=4),
    Pool("a/q", "a", "nvidia-h20-96", nodes=1, accelerators_per_node=8),
)
OFFER = Offer(Network("n", (Region("r"),), (Site("a", "r", POOLS),)))
HELD = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 1)), max_size=12)


def restored(held: list[tuple[int, int]]) -> State:
    """Give a state in which the i-th job holds so many accelerators of such a pool."""
    state = State(OFFER.network, policy_named("price"), OFFER.accelerators, OFFER.rates)
    kinds = [state.intern(JobKind("lab", Workload("hpc"), count)) for count, _ in held]
    state.add(np.array(kinds, np.int32), np.ones(len(held)), np.zeros(len(held)))
    pools = np.array([pool for _, pool in held], np.int64)
    state.restore(np.arange(len(held)), pools, np.zeros(len(held)))
    return state


def seats(state: State, row: int) -> int:
    """Give the accelerators on nodes that the job's blocks hold."""
    total, block = 0, int(state.snapshot.jobs[row]["block"])
    while block >= 0:
        total += int(state.snapshot.blocks[block]["amount"])
        block = int(state.snapshot.blocks[block]["next"])
    return total


@given(HELD)
def test_what_is_held_and_what_is_free_is_what_there_is(held: list[tuple[int, int]]) -> None:
    """Free is capacity less what is held, even below 0; no node gives more than it has."""
    state = restored(held)
    s = state.snapshot
    for row, pool in enumerate(POOLS):
        holds = [count for count, at in held if at == row]
        nodes = s.node_free[s.pools["first"][row] : s.pools["last"][row]]
        assert s.pools["free"][row] == pool.capacity - sum(holds)
        assert (nodes >= 0).all()
        seated = sum(seats(state, i) for i, (_, at) in enumerate(held) if at == row)
        assert nodes.sum() == pool.capacity - seated
        assert seated == min(sum(holds), pool.capacity)
    assert s.n_running[0] == len(held)


@given(HELD, st.randoms(use_true_random=False))
def test_when_all_have_ended_all_is_free(held: list[tuple[int, int]], order: Random) -> None:
    """Released in any order, the jobs leave every node as it was; meanwhile none is overfull."""
    state = restored(held)
    rows = list(range(len(held)))
    order.shuffle(rows)
    left = list(rows)
    for row in rows:
        absorb(state, Observations(ended=np.array([row])), 0.0)
        left.remove(row)
        s = state.snapshot
        for p, pool in enumerate(POOLS):
            used = sum(held[i][0] for i in left if held[i][1] == p)
            assert s.pools["free"][p] == pool.capacity - used
            assert s.node_free[s.pools["first"][p] : s.pools["last"][p]].min() >= 0
    fresh = restored([]).snapshot
    assert (state.snapshot.node_free == fresh.node_free).all()
    assert (state.snapshot.used == 0).all()
    assert state.snapshot.n_running[0] == 0


@given(HELD, st.lists(st.integers(1, 8), min_size=1, max_size=8))
def test_nothing_is_placed_beyond_what_is_free(
    held: list[tuple[int, int]], waiting: list[int]
) -> None:
    """New jobs get only what the restored ones leave, also where these hold more than there is."""
    state = restored(held)
    kinds = [state.intern(JobKind("lab", Workload("hpc"), count)) for count in waiting]
    first = state.add(np.array(kinds, np.int32), np.ones(len(kinds)), np.zeros(len(kinds)))
    before = state.snapshot.pools["free"].copy()
    new = Observations(submitted=np.arange(first, first + len(kinds)))
    actions, state, _ = run_cycle(state, new, 1.0)
    for p in range(len(POOLS)):
        placed = sum(
            waiting[row - first]
            for row, pool in zip(actions.rows.tolist(), actions.pools.tolist(), strict=True)
            if pool == p
        )
        assert placed <= max(0, before[p])
