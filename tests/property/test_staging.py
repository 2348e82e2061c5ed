"""Data before the start: arithmetic of near and far, shared links, caches, and progress."""

from dataclasses import replace
from math import inf
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tieline.control.cycle import Observations, run_cycle
from tieline.control.replicas import Move
from tieline.control.state import State
from tieline.model.network import Dataset, Link, Network, Region
from tieline.rules.transfer import fair_shares
from tieline.scheduling.registry import POLICIES, policy_named
from tieline.simulation import driver
from tieline.simulation.driver import simulate
from tieline.simulation.schedule import Schedule
from twins.invariants import check_state
from twins.moving import (
    CHIPS,
    check_links,
    check_starts,
    networks,
    slow_shares,
    state_of,
    two_pools,
)

BY_ARITHMETIC = ["price", "shortest", "fifo", "backfill", "fair", "finish-time"]
sizes = st.floats(1, 1e6)


def run(state: State, jobs: list[tuple[int, float, float]]) -> Schedule:
    """Run (kind, submission, work) to the end, with every invariant checked in every cycle."""

    def checked(*given: object) -> object:
        actions, after, decision = run_cycle(*given)  # type: ignore[arg-type]
        check_state(after)
        check_links(after)
        check_starts(after, actions)
        return actions, after, decision

    kinds, submit, work = (np.array(column) for column in zip(*jobs, strict=True))
    state.add(kinds.astype(np.int32), work.astype(float), submit.astype(float))
    runnable = (state.rates_by_pool() > 0).any(axis=1)[kinds]
    with patch.object(driver, "run_cycle", checked):
        return simulate(state, submit.astype(float), work.astype(float), runnable)


class Question(NamedTuple):
    """A job beside its data, a faster chip at the other end of a link."""

    size: float
    bandwidth: float
    work: float
    speedup: float
    usd_per_byte: float
    value: float | None
    count: int


questions = st.builds(
    Question,
    sizes,
    st.floats(1, 1000),
    st.floats(1, 1e5),
    st.floats(1.01, 10),
    st.sampled_from([0.0, 1e-4, 0.1]),
    st.sampled_from([None, 0.5, 20.0]),
    st.sampled_from([1, 4]),
)


@pytest.mark.parametrize("policy", BY_ARITHMETIC)
@given(questions)
def test_near_beats_far_exactly_when_it_ends_sooner(policy: str, asked: Question) -> None:
    """A job runs beside its data unless moving it, its cost counted as time, is made up for."""
    size, bandwidth, work, speedup, usd, value, count = asked
    network = two_pools(bandwidth, size=size, usd_per_byte=usd, value=value, count=count)
    money_s = usd * size / (value * count) * 3600 if value else 0.0
    near, far = work, size / bandwidth + work / speedup
    assume(abs(near - far - money_s) > 1e-6 * (near + far + money_s))
    assume(min(near, far + money_s) > 1.0)  # shorter times are not told apart
    state = state_of(network, policy_named(policy), speedup, [("d",)], count=count)
    schedule = run(state, [(0, 0.0, work)])
    goes_far = far + money_s < near
    assert schedule.pool[0] == (1 if goes_far else 0)
    assert schedule.end_s[0] == pytest.approx(far if goes_far else near)
    assert schedule.moved.tolist() == pytest.approx([size, size * usd] if goes_far else [0.0, 0.0])


@given(st.floats(10, 1000), st.integers(1, 3), st.floats(1.5, 10))
def test_a_busy_link_counts_with_the_share_that_is_left(
    work: float, others: int, speedup: float
) -> None:
    """With n transfers on the link a job reckons with 1 / (n + 1) of it, and goes by that."""
    network = two_pools(10.0)
    more = tuple(Dataset(f"x{i}", 1e9, frozenset({"s-slow"})) for i in range(others))
    network = replace(network, datasets=network.datasets + more)
    state = state_of(network, policy_named("price"), speedup, [("d",)])
    far = 1000.0 * (others + 1) / 10.0 + work / speedup
    assume(abs(far - work) > 1e-6 * work)
    none = np.zeros(state.replicas.held.shape, np.bool_)
    for i in range(others):
        assert state.replicas.send(np.array([i + 1]), 1, none, 0.0, 4)
    state.add(np.zeros(1, np.int32), np.array([work]), np.zeros(1))
    actions, _, _ = run_cycle(state, Observations(submitted=np.zeros(1, np.int64)), 0.0)
    moves = [Move("d", "r-slow", "r-fast")] if far < work else []
    assert list(actions.moves) == moves
    assert actions.rows.tolist() == ([] if moves else [0])


def test_other_work_runs_while_data_is_on_its_way() -> None:
    """A job whose data travels holds nothing, and starts when the data is there."""
    network = two_pools(10.0)
    state = state_of(network, policy_named("price"), 10.0, [("d",), ()])
    schedule = run(state, [(0, 0.0, 5000.0), (1, 1.0, 500.0)])
    assert schedule.pool.tolist() == [1, 1]
    assert schedule.start_s.tolist() == [100.0, 1.0]
    assert schedule.end_s.tolist() == [600.0, 51.0]


def test_data_is_sent_ahead_while_the_pool_is_busy() -> None:
    """The next job's data travels while another runs, so that no accelerator waits for it."""
    network = two_pools(10.0)
    near, far = network.sites
    network = replace(network, sites=(replace(near, pools=()), far))
    state = state_of(network, policy_named("price"), 1.0, [(), ("d",)])
    schedule = run(state, [(0, 0.0, 300.0), (1, 1.0, 400.0)])
    assert schedule.start_s.tolist() == [0.0, 300.0]


def test_a_job_on_its_way_starts_near_its_data_where_that_ends_sooner() -> None:
    """A bound job goes on waiting for its data unless a start now beats what is left to wait."""
    for speedup, pool in ((1.5, 0), (8.0, 1)):
        state = state_of(two_pools(10.0), policy_named("price"), speedup, [("d",), ()])
        # The slow pool is taken at first, and free again 10 s later.
        state.snapshot.pools["open"][0] = False
        state.add(np.zeros(1, np.int32), np.array([120.0]), np.zeros(1))
        actions, _, _ = run_cycle(state, Observations(submitted=np.zeros(1, np.int64)), 0.0)
        assert len(actions.moves) == 1
        opened = Observations(opened=np.zeros(1, np.int64))
        actions, _, _ = run_cycle(state, opened, 10.0)
        # 90 s and 80 s or 15 s of work there, against 120 s here.
        assert actions.pools.tolist() == ([0] if pool == 0 else [])
        assert actions.moves == ()


@st.composite
def loads(
    draw: st.DrawFn,
) -> tuple[Network, list[tuple[str, ...]], list[tuple[int, float, float]]]:
    """Draw a network, kinds by their datasets, and jobs."""
    network = draw(networks())
    names = st.sampled_from([dataset.id for dataset in network.datasets])
    kinds = draw(st.lists(st.lists(names, max_size=2, unique=True).map(tuple), min_size=1,
                          max_size=4, unique=True))  # fmt: skip
    job = st.tuples(
        st.integers(0, len(kinds) - 1), st.floats(0, 60).map(float), st.floats(0, 100).map(float)
    )
    jobs = draw(st.lists(job, min_size=1, max_size=14))
    return network, kinds, sorted(jobs, key=lambda one: one[1])


@pytest.mark.parametrize("policy", POLICIES)
@given(loads(), st.sampled_from([inf, 0.0, 7.0]))
def test_every_job_ends_and_nothing_overflows(
    policy: str,
    load: tuple[Network, list[tuple[str, ...]], list[tuple[int, float, float]]],
    restart_s: float,
) -> None:
    """Every job that may run ends; links, caches, data and accelerators stay within bounds."""
    network, kinds, jobs = load
    chosen = policy_named(policy)
    found = []
    for _ in range(2):
        state = state_of(network, chosen, 2.0, kinds, restart_s=restart_s)
        schedule = run(state, jobs)
        rows = np.array([kind for kind, _, _ in jobs])
        runnable = (state.rates_by_pool() > 0).any(axis=1)[rows]
        assert np.isfinite(schedule.end_s[runnable]).all()
        assert np.isnan(schedule.end_s[~runnable]).all()
        assert len(state.replicas.traffic) == 0
        found.append([*schedule.end_s.tolist(), *schedule.moved.tolist()])
    assert str(found[0]) == str(found[1]), "the same input gave another schedule"


paths_and_links = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(
            st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True),
            min_size=1,
            max_size=8,
        ),
        st.lists(st.integers(1, 50), min_size=n, max_size=n),
    )
)


@given(paths_and_links)
def test_shares_are_max_min_fair(case: tuple[list[list[int]], list[int]]) -> None:
    """Speeds are those of raising all alike until a link is full, in exact fractions."""
    paths, bandwidth = case
    speeds = fair_shares([np.array(path) for path in paths], np.array(bandwidth, float))
    assert speeds == pytest.approx([float(x) for x in slow_shares(paths, bandwidth)])


@given(sizes, sizes, st.floats(1, 1000), st.floats(0, 100))
def test_two_transfers_share_a_link(
    first: float, second: float, bandwidth: float, later: float
) -> None:
    """An arrival is put off by the half that another takes, from the moment it begins."""
    network = two_pools(bandwidth, size=first)
    network = replace(
        network, datasets=(*network.datasets, Dataset("e", second, frozenset({"s-slow"})))
    )
    replicas = state_of(network, policy_named("price"), 2.0, [()]).replicas
    none = np.zeros(replicas.held.shape, np.bool_)
    assume(later < first / bandwidth)
    replicas.send(np.array([0]), 1, none, 0.0, 4)
    replicas.send(np.array([1]), 1, none, later, 4)
    left = first - bandwidth * later
    short = min(left, second)
    ends = replicas.traffic.done_s
    assert min(ends.values()) == pytest.approx(later + 2 * short / bandwidth, rel=1e-6, abs=1e-6)


def test_the_least_recently_used_copy_goes_first() -> None:
    """A full cache loses the copy not used for longest, never one in use or an original."""
    network = two_pools(100.0)
    more = tuple(Dataset(name, 1000.0, frozenset({"s-slow"})) for name in "efg")
    sites = (network.sites[0], replace(network.sites[1], cache_bytes=2500.0))
    network = replace(network, datasets=network.datasets + more, sites=sites)
    replicas = state_of(network, policy_named("price"), 2.0, [()]).replicas
    none = np.zeros(replicas.held.shape, np.bool_)
    for row, now in ((0, 0.0), (1, 20.0)):
        moves = replicas.send(np.array([row]), 1, none, now, 4)
        assert moves is not None
        replicas.arrive(moves, now + 10.0)
    replicas.use(np.array([0]), 1, 40.0)
    assert replicas.send(np.array([2]), 1, none, 50.0, 4)
    assert replicas.held[:, 1].tolist() == [True, False, False, False]
    pinned = none.copy()
    pinned[0, 1] = True
    # One is in use, the other on its way: no room, and nothing has changed.
    assert replicas.send(np.array([3]), 1, pinned, 60.0, 4) is None
    assert replicas.held[:, 1].tolist() == [True, False, False, False]
    assert replicas.held[:, 0].all()


def test_data_goes_the_widest_way_then_the_cheapest() -> None:
    """Of rings of links the widest path counts, the cheaper of equally wide ones."""
    network = two_pools(10.0)
    network = replace(
        network,
        regions=(*network.regions, Region("x"), Region("y")),
        links=(
            Link(("r-slow", "r-fast"), 10.0, 0.0, 0.0),
            Link(("r-slow", "x"), 40.0, 0.0, 2.0),
            Link(("x", "r-fast"), 50.0, 0.0, 1.0),
            Link(("r-slow", "y"), 60.0, 0.0, 1.0),
            Link(("y", "r-fast"), 40.0, 0.0, 1.0),
            Link(("x", "y"), 0.0, 0.0, 0.0),
        ),
    )
    replicas = state_of(network, policy_named("price"), 2.0, [()]).replicas
    time_s, usd = replicas.time_and_cost(0, 0.0)
    assert time_s[1] == pytest.approx(1000.0 / 40.0)
    assert usd[1] == pytest.approx(2000.0)


def test_nothing_is_moved_where_nobody_moves_data() -> None:
    """Without a mover a job holds its accelerators while it fetches its data itself."""
    network = two_pools(10.0)
    moved = state_of(network, policy_named("price"), 10.0, [("d",)])
    state = State(network, policy_named("price"), CHIPS, moved.rates)
    schedule = run(state, [(state.intern(moved.kinds[0]), 0.0, 5000.0)])
    assert schedule.start_s.tolist() == [0.0]
    assert schedule.end_s.tolist() == [600.0]
    assert schedule.moved.tolist() == [0.0, 0.0]
