"""Nobody is passed over for ever under `price`: reservations, patience, deadlines."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.cycle import Observations, run_cycle
from tieline.control.state import State
from tieline.scheduling.registry import POLICIES
from twins.cases import Case, Job, cases, kind, network
from twins.invariants import check_state

PRICE = POLICIES["price"]
DAY_S = 86_400.0


def begun(case: Case, at: list[float], deadline: list[float] | None = None) -> State:
    """Give the state of one pool after each job was submitted at its moment, in cycles."""
    state = case.state(PRICE)
    if deadline is not None:
        state.snapshot.jobs["deadline"][: len(deadline)] = deadline
    for row, now in enumerate(at):
        run_cycle(state, Observations(submitted=np.array([row])), now)
    return state


def four(*jobs: Job, sizes: tuple[int, ...] = (1, 4, 1)) -> Case:
    """Give a case with one node of four and kinds of these sizes."""
    kinds = tuple(kind(k, n) for k, n in enumerate(sizes))
    return Case(network([(0, "a", 1, 4)]), kinds, ({"a": 1.0},) * len(sizes), jobs)


def test_a_gang_worth_more_keeps_what_is_free_from_longer_work() -> None:
    """A short gang waits for one job to end; what would outlast that job does not start."""
    case = four(Job(0, 0.0, 100.0), Job(1, 1.0, 1.0), Job(2, 2.0, 500.0))
    state = begun(case, [0.0, 1.0, 2.0])
    assert state.snapshot.jobs["pool"][:3].tolist() == [0, -1, -1]


def test_work_that_ends_in_time_starts_in_front_of_a_gang() -> None:
    """What ends before the gang can begin uses what waits for it."""
    case = four(Job(0, 0.0, 100.0), Job(1, 1.0, 20.0), Job(2, 2.0, 90.0))
    state = begun(case, [0.0, 1.0, 2.0])
    assert state.snapshot.jobs["pool"][:3].tolist() == [0, -1, 0]


def test_a_gang_worth_less_keeps_nothing() -> None:
    """A gang whose work is worth less per accelerator than what comes lets it go first."""
    case = four(Job(0, 0.0, 100.0), Job(1, 1.0, 1000.0), Job(2, 2.0, 500.0))
    state = begun(case, [0.0, 1.0, 2.0])
    assert state.snapshot.jobs["pool"][:3].tolist() == [0, -1, 0]


@pytest.mark.parametrize("run", [3600.0, 20_000.0])
def test_a_stream_of_small_jobs_does_not_starve_a_gang(run: float) -> None:
    """A gang starts after three days and ten times its run time, whatever else keeps coming."""
    every, length = 600.0, 3000.0
    stream = [Job(0, every * i, length) for i in range(int(8 * DAY_S / every))]
    jobs = sorted([*stream, Job(1, 5000.0, run)], key=lambda job: job.submit)
    schedule = four(*jobs).run(PRICE)
    gang = next(row for row, job in enumerate(jobs) if job.kind == 1)
    waited = schedule.start_s[gang] - 5000.0
    assert DAY_S < waited < 3 * DAY_S + 10 * run + 2 * length


@pytest.mark.parametrize("dated", [0, 1])
def test_of_two_equal_jobs_the_one_with_a_deadline_meets_it(dated: int) -> None:
    """Both wait for the same gang's end, one must start then: it does, whichever came first."""
    case = four(Job(1, 0.0, 1000.0), Job(1, 1.0, 400.0), Job(1, 2.0, 400.0), sizes=(1, 4, 4))
    deadline = [np.inf] * 3
    deadline[1 + dated] = 1500.0
    state = begun(case, [0.0, 1.0, 2.0], deadline)
    actions, _, _ = run_cycle(state, Observations(ended=np.array([0])), 1000.0)
    assert actions.rows.tolist() == [1 + dated]


def test_a_deadline_out_of_reach_counts_for_nothing() -> None:
    """A job that cannot meet its deadline any more is worth what its work is worth."""
    case = four(Job(1, 0.0, 1000.0), Job(1, 1.0, 400.0), Job(1, 2.0, 500.0), sizes=(1, 4, 4))
    state = begun(case, [0.0, 1.0, 2.0], [np.inf, np.inf, 1499.0])
    actions, _, _ = run_cycle(state, Observations(ended=np.array([0])), 1000.0)
    assert actions.rows.tolist() == [1]


def test_a_higher_priority_is_worth_twice_as_much() -> None:
    """One step of priority lets a job of less than twice the length go first."""
    case = four(Job(1, 0.0, 100.0), Job(1, 1.0, 50.0), Job(2, 2.0, 99.0), sizes=(1, 4, 4))
    urgent = replace(case.kinds[2], priority=1)
    state = begun(replace(case, kinds=(*case.kinds[:2], urgent)), [0.0, 1.0, 2.0])
    actions, _, _ = run_cycle(state, Observations(ended=np.array([0])), 100.0)
    assert actions.rows.tolist() == [2]


@given(case=cases(exact=False), deadlines=st.lists(st.floats(0.0, 60.0), min_size=25, max_size=25))
def test_no_rule_is_broken_for_urgent_jobs(case: Case, deadlines: list[float]) -> None:
    """With deadlines everywhere capacity and quotas hold, and every feasible job runs."""
    state = case.state(PRICE)
    n = len(case.jobs)
    state.snapshot.jobs["deadline"][:n] = np.array(deadlines)[:n]
    schedule = case.run(PRICE, state, watch=lambda _now, _decision: check_state(state))
    without = case.run(PRICE)
    assert np.isfinite(schedule.end_s).tolist() == np.isfinite(without.end_s).tolist()
