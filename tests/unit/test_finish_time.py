"""Finish-time: late jobs go first, and the rest still goes by value."""

from dataclasses import replace

import numpy as np
import pytest

from tieline.model.network import Tenant
from tieline.scheduling.policies.finish_time import FINISH_TIME
from tieline.scheduling.policies.shortest import SHORTEST
from tieline.scheduling.policy import Policy
from tieline.simulation.rounds import Rounds, simulate_rounds
from twins.cases import Case, Job, kind, network, one_kind


def split_times(case: Case) -> np.ndarray:
    """Give completion times under an equal split of pools of one speed, from event to event."""
    left = np.array([job.run for job in case.jobs])
    count = np.array([case.kinds[job.kind].count for job in case.jobs])
    end, now = np.full(len(left), np.nan), 0.0
    while np.isnan(end).any():
        here = np.isnan(end) & (case.submit <= now)
        coming = case.submit[case.submit > now]
        rate = np.minimum(1.0, level(count[here], case.network.capacity) / count[here])
        ends = now + left[here] / rate
        then = min(ends.min(initial=np.inf), coming.min(initial=np.inf))
        left[here] -= (then - now) * rate
        now = then
        end[here & (left <= 1e-9)] = now
    return end - case.submit


def level(count: np.ndarray, capacity: int) -> float:
    """Give the accelerators that each gets when all get as many, and no more than its gang."""
    if count.sum() <= capacity:
        return np.inf
    taken, rest = 0, len(count)
    for size in np.sort(count):
        if (capacity - taken) / rest <= size:
            break
        taken, rest = taken + size, rest - 1
    return (capacity - taken) / rest


def in_rounds(policy: Policy, case: Case, length_s: float) -> np.ndarray:
    """Give completion times when all is decided anew every few seconds."""
    kinds = tuple(replace(kind, restart_s=0.0) for kind in case.kinds)
    case = replace(case, kinds=kinds)
    run = np.array([job.run for job in case.jobs])
    schedule = simulate_rounds(
        case.state(policy),
        case.submit,
        run,
        np.ones(len(run), np.bool_),
        Rounds(length_s, np.zeros(len(run))),
    )
    return schedule.end_s - case.submit


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_long_job_is_not_held_up_by_short_ones(count: int) -> None:
    """Short jobs that keep coming hold a long one up for ever by value alone, not here."""
    short = [Job(1, 0.0, 4.2)] * 20 + [Job(1, float(i), 4.2) for i in range(900)]
    case = Case(
        network([(0, "a", 2, 2)]),
        (kind(0, count), kind(1, 1)),
        ({"a": 1.0}, {"a": 1.0}),
        (*short[:25], Job(0, 5.0, 30.0 / count), *short[25:]),
    )
    assert case.run(SHORTEST).start_s[25] > 890.0
    assert case.run(FINISH_TIME).end_s[25] < 1.1 * split_times(case)[25] < 890.0


def test_jobs_in_time_go_by_value() -> None:
    """As long as nobody is late, the shortest go first."""
    case = one_kind([(0, "a", 1, 1)], 1, [Job(0, 0.0, run) for run in (5.0, 3.0, 8.0, 1.0, 2.0)])
    order = np.argsort(case.run(FINISH_TIME).start_s)
    assert [case.jobs[row].run for row in order] == [1.0, 2.0, 3.0, 5.0, 8.0]


def test_of_two_just_as_late_the_one_the_chip_suits_gets_it() -> None:
    """The only free chip goes to the younger of two late jobs, when it suits that one better."""
    case = Case(
        network([(0, "a", 1, 1), (1, "b", 1, 1)]),
        (kind(0, 1), kind(1, 1), kind(2, 1), kind(3, 1)),
        ({"a": 1.0}, {"b": 1.0}, {"a": 1.0, "b": 0.2}, {"a": 1.0, "b": 0.8}),
        (Job(0, 0.0, 900.0), Job(1, 0.0, 300.0), Job(2, 1.0, 60.0), Job(3, 1.0, 60.0)),
    )
    schedule = case.run(FINISH_TIME)
    assert schedule.start_s[3] == 300.0
    assert schedule.pool[3] == 1


def test_nobody_is_much_later_than_under_an_equal_split() -> None:
    """Where jobs can pause, none takes over 1.15 times as long as under an equal split."""
    rng = np.random.default_rng(5)
    submit = np.sort(rng.uniform(0, 300, 150)).tolist()
    runs = rng.lognormal(3.5, 1.2, 150).tolist()
    sizes = rng.choice([0, 0, 0, 1, 2], 150).tolist()
    case = Case(
        network([(0, "a", 16, 1)]),
        (kind(0, 1), kind(1, 2), kind(2, 4)),
        ({"a": 1.0}, {"a": 1.0}, {"a": 1.0}),
        tuple(Job(k, at, run) for k, at, run in zip(sizes, submit, runs, strict=True)),
    )
    split = split_times(case)
    fair = in_rounds(FINISH_TIME, case, 0.5)
    assert (fair / split).max() < 1.15
    assert fair.mean() < 0.85 * split.mean()


def test_tenants_do_not_matter() -> None:
    """The split is between jobs: whose they are changes nothing."""
    jobs = tuple(Job(i % 2, float(i // 3), 3.0 + i % 11) for i in range(120))
    pools = [(0, "a", 2, 2)]
    one = Case(
        network(pools, (Tenant("t0"),)),
        (kind(0, 1), kind(1, 2)),
        ({"a": 1.0}, {"a": 1.0}),
        jobs,
    )
    two = Case(
        network(pools, (Tenant("t0"), Tenant("t1", share=9.0))),
        (kind(0, 1), kind(1, 2, "t1")),
        ({"a": 1.0}, {"a": 1.0}),
        jobs,
    )
    assert one.run(FINISH_TIME).start_s.tolist() == two.run(FINISH_TIME).start_s.tolist()
