"""No schedule beats the lower bound: not of any policy, not the best one, preemptive or not."""

from functools import cache
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog  # type: ignore[import-untyped]  # it has no types

from tieline.model.accelerator import Accelerator, Rate
from tieline.model.network import Network, Pool, Region, Site, Tenant
from tieline.model.trace import Trace
from tieline.model.workload import Workload
from tieline.scheduling.registry import POLICIES
from tieline.simulation.bound import Bound, Demand, bound_of, lower_bound, one_machine
from tieline.simulation.replay import replay

#: Rounding of sums of a few numbers.
LOW = 1 - 1e-9


class Job(NamedTuple):
    """A job in whole numbers."""

    submit: int
    work: int
    size: int
    kind: int = 0


def bound(jobs: list[Job], rate: list[list[float]], capacity: list[int]) -> Bound:
    """Give the bounds for jobs on pools of the given capacities."""
    jobs = sorted(jobs)
    return lower_bound(
        Demand(
            submit_s=np.array([job.submit for job in jobs], np.float64),
            work=np.array([job.work for job in jobs], np.float64),
            count=np.array([job.size for job in jobs]),
            kind=np.array([job.kind for job in jobs], np.int32),
            rate=np.array(rate),
            capacity=np.array(capacity),
        )
    )


def chip(name: str, training: float, decode: float) -> Accelerator:
    """Give an accelerator with two rates; 0 means the class cannot run there."""
    rates = {
        "training": Rate(training, "assumed", ""),
        "decode": Rate(decode, "assumed", ""),
    }
    return Accelerator(name, name, "V", "US", "cuda", rates=rates)


speeds = st.sampled_from([0.0, 0.3, 1.0, 2.5])
many_jobs = st.lists(
    st.tuples(
        st.integers(0, 30), st.integers(0, 20), st.integers(1, 5), st.booleans(), st.booleans()
    ),
    min_size=1,
    max_size=25,
)


@given(many_jobs, st.tuples(speeds, speeds), st.integers(1, 3))
def test_no_policy_beats_the_bound(
    rows: list[tuple[int, int, int, bool, bool]], slow: tuple[float, float], nodes: int
) -> None:
    """On unequal chips, with gangs, nodes and homes, every policy stays above the bound."""
    chips = {"fast": chip("fast", 1.0, 1.0), "slow": chip("slow", *slow)}
    sites = tuple(
        Site(name, "r", (Pool(f"{name}/{name}", name, name, nodes, 4),)) for name in chips
    )
    tenants = tuple(Tenant(name, home=name) for name in chips)
    network = Network("two", (Region("r"),), sites, (), tenants, (), tuple(chips.values()))
    submit, work, count, tenant, kind = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
    trace = Trace(
        "made",
        np.array(submit, np.float64),
        np.array(work, np.float64),
        np.array(count, np.int32),
        np.array(tenant, np.int32),
        np.array(kind, np.int32),
        ("fast", "slow"),
        (Workload("training"), Workload("decode")),
    )
    for policy in POLICIES.values():
        done = replay(network, trace, policy, chips, relative_to="fast")
        if done.ran.any():
            assert float(np.mean(done.jct_s[done.ran])) >= LOW * bound_of(done).best_s


few_jobs = st.lists(
    st.builds(Job, st.integers(0, 4), st.integers(0, 4), st.integers(1, 2), st.integers(0, 1)),
    min_size=1,
    max_size=4,
)


def best_unbroken(jobs: list[Job], rate: list[list[float]], capacity: list[int]) -> float:
    """Give the least mean completion time without preemption, by trying everything.

    Each order of jobs with each choice of pools, every job as early as it fits: one of these
    schedules is optimal, since no job of an optimal one can start earlier.
    """
    best = np.inf
    choices = [[p for p in range(len(capacity)) if rate[job.kind][p] > 0] for job in jobs]
    for order in permutations(range(len(jobs))):
        for pools in product(*choices):
            placed: list[tuple[float, float, int, int]] = []
            total = 0.0
            for j in order:
                length = jobs[j].work / rate[jobs[j].kind][pools[j]]
                start = earliest(jobs[j], length, pools[j], placed, capacity)
                placed.append((start, start + length, pools[j], jobs[j].size))
                total += start + length - jobs[j].submit
            best = min(best, total / len(jobs))
    return best


def earliest(
    job: Job,
    length: float,
    pool: int,
    placed: list[tuple[float, float, int, int]],
    capacity: list[int],
) -> float:
    """Give the earliest start at which the job fits beside those placed."""
    here = [(begin, end, count) for begin, end, p, count in placed if p == pool]
    for start in sorted({float(job.submit), *(end for _, end, _ in here if end > job.submit)}):
        moments = [start, *(begin for begin, _, _ in here if start < begin < start + length)]
        use = [sum(n for begin, end, n in here if begin <= at < end) for at in moments]
        if length == 0 or max(use) + job.size <= capacity[pool]:
            return start
    raise AssertionError(job)


@given(few_jobs, speeds, st.booleans())
@settings(max_examples=40)
def test_the_best_schedule_is_above_the_bound(jobs: list[Job], speed: float, pooled: bool) -> None:
    """Not even the best of all schedules without preemption beats the bound."""
    rate, capacity = ([[1.0, speed], [0.5, 2.0]], [2, 2]) if pooled else ([[1.0], [1.0]], [2])
    jobs = sorted(jobs)
    found = bound(jobs, rate, capacity)
    assert best_unbroken(jobs, rate, capacity) >= LOW * found.best_s


def best_broken(jobs: list[Job], capacity: int) -> float:
    """Give the least mean completion time when jobs may stop and go on every second."""

    @cache
    def rest(now: int, left: tuple[int, ...]) -> float:
        if not any(left):
            return 0.0
        ready = [j for j, work in enumerate(left) if work and jobs[j].submit <= now]
        best = np.inf
        for chosen in product([False, True], repeat=len(ready)):
            running = [j for j, one in zip(ready, chosen, strict=True) if one]
            if sum(jobs[j].size for j in running) > capacity or (ready and not running):
                continue
            after = tuple(work - (j in running) for j, work in enumerate(left))
            done = [j for j in running if not after[j]]
            cost = sum(now + 1 - jobs[j].submit for j in done)
            best = min(best, cost + rest(now + 1, after))
        return best

    return rest(0, tuple(job.work for job in jobs)) / len(jobs)


@given(few_jobs)
@settings(max_examples=40)
def test_preemption_does_not_beat_the_bound(jobs: list[Job]) -> None:
    """Nor does the best schedule that may interrupt jobs every second."""
    jobs = sorted(jobs)
    found = bound(jobs, [[1.0], [1.0]], [3])
    assert best_broken(jobs, 3) >= LOW * found.best_s


areas = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), min_size=1, max_size=6)


@given(areas)
def test_the_machine_runs_what_has_least_left(rows: list[tuple[int, int]]) -> None:
    """Shortest remaining work first agrees with a walk that looks again every second."""
    rows = sorted(rows)
    submit, area = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    end, busy = np.empty_like(area), np.empty_like(area)
    one_machine(submit, area, area, True, 1.0, end, busy)
    left, ends, now = area.copy(), np.zeros_like(area), 0
    while left.any():
        ready = [j for j in range(len(rows)) if left[j] > 0 and submit[j] <= now]
        now += 1
        if ready:
            j = min(ready, key=lambda j: (left[j], j))
            left[j] -= 1
            ends[j] = now
    assert end.sum() == pytest.approx(ends.sum())
    assert (busy <= end - area / 2 + 1e-9).all()
    assert (busy >= submit + area / 2 - 1e-9).all()


@given(areas, st.data())
@settings(max_examples=40)
def test_fixed_keys_give_the_least_weighted_busy_time(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Most weight per work first gives the least weighted mean busy time: an exact LP agrees."""
    rows = sorted(rows)
    submit, area = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    weight = np.array([data.draw(st.integers(1, 5)) for _ in rows], np.float64)
    end, busy = np.empty_like(area), np.empty_like(area)
    one_machine(submit, area, area / weight, False, 1.0, end, busy)
    slots = int(submit.max() + area.sum())
    cost = np.array(
        [
            [w / a * (t + 0.5) if t >= s else 1e6 for t in range(slots)]
            for s, a, w in zip(submit, area, weight, strict=True)
        ]
    )
    n = len(rows)
    each_job = np.kron(np.eye(n), np.ones(slots))
    each_slot = np.kron(np.ones(n), np.eye(slots))
    optimum = linprog(cost.ravel(), A_ub=each_slot, b_ub=np.ones(slots), A_eq=each_job, b_eq=area)
    assert float(weight @ busy) == pytest.approx(optimum.fun)


def test_the_bound_is_tight_where_it_can_be() -> None:
    """Jobs that fill the pool one after the other meet the bound; so does one alone."""
    assert bound([Job(3, 10, 1)], [[1.0]], [4]).best_s == 10.0
    queue = bound([Job(0, 10, 4), Job(0, 10, 4)], [[1.0]], [4])
    assert queue.alone_s == 10.0
    assert queue.best_s == pytest.approx(15.0)


def test_shares_combine_the_bounds() -> None:
    """Jobs of which some wait and some do not are bounded better together than by either."""
    calm = [Job(100 * i, 50, 1) for i in range(20)]
    rush = [Job(5000, 30, 4) for _ in range(20)]
    found = bound(calm + rush, [[1.0]], [4])
    assert found.combined_s > 1.05 * max(found.alone_s, found.fluid_s)


def test_unequal_chips_count_by_their_speed() -> None:
    """A pool that is ten times slower adds a tenth to what the network can do."""
    jobs = [Job(0, 10, 1) for _ in range(40)]
    alike = bound(jobs, [[1.0, 1.0]], [2, 2]).best_s
    unlike = bound(jobs, [[1.0, 0.1]], [2, 2]).best_s
    assert unlike > 1.7 * alike


def test_pools_that_nobody_can_use_do_not_help() -> None:
    """Capacity where no job runs leaves the bound as it is."""
    jobs = [Job(0, 10, 1) for _ in range(8)]
    assert bound(jobs, [[1.0, 0.0]], [2, 100]) == bound(jobs, [[1.0]], [2])
