"""Jobs that may be stopped: what never happens to them, and what happens in the end."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.cycle import Actions
from tieline.control.state import State
from tieline.scheduling.policy import Policy
from tieline.scheduling.registry import POLICIES
from tieline.simulation.driver import World, drive, trace_world
from tieline.simulation.rounds import Rounds, simulate_rounds
from tieline.simulation.schedule import Schedule
from twins.cases import Case, Job, cases, kind, network
from twins.invariants import check_state

PREEMPTING = [policy for policy in POLICIES.values() if policy.preempts]
preempting = pytest.mark.parametrize("policy", PREEMPTING, ids=lambda policy: policy.name)


@dataclass
class Attempt:
    """One stretch of a job's life on accelerators."""

    pool: int
    began: float
    ended: float = inf


@st.composite
def stoppable(draw: st.DrawFn, *, exact: bool = True) -> Case:
    """Draw a case in which most kinds may be stopped, at different costs."""
    case = draw(cases(exact=exact))
    costs, checkpoints = st.sampled_from([0.0, 0.5, 3.0, inf]), st.sampled_from([0.0, 2.0])
    kinds = tuple(
        replace(one, restart_s=draw(costs), checkpoint_s=draw(checkpoints)) for one in case.kinds
    )
    return replace(case, kinds=kinds)


def watched(world: World, seen: dict[int, list[Attempt]]) -> World:
    """Pass a world on and take down every attempt, from what was seen and done alone."""
    happens = next(world, None)
    while happens is not None:
        now, observed = happens
        for row in observed.ended.tolist():
            assert seen[row][-1].ended in {inf, now}
            seen[row][-1].ended = now
        actions: Actions = yield happens
        for row, pool in zip(actions.rows.tolist(), actions.pools.tolist(), strict=True):
            assert not seen[row] or seen[row][-1].ended <= now, "a job runs twice at once"
            seen[row].append(Attempt(pool, now))
        for row in actions.stops.tolist():
            assert seen[row][-1].began < now, "stopped at the instant it started"
            seen[row][-1].ended = now
        try:
            happens = world.send(actions)
        except StopIteration:
            happens = None


def run(case: Case, policy: Policy) -> tuple[State, Schedule, dict[int, list[Attempt]]]:
    """Run every job; check the state after each cycle; give the attempts of each job."""
    state, seen = case.state(policy), defaultdict[int, list[Attempt]](list)
    schedule = Schedule.empty(len(case.jobs), len(case.network.pools))
    run_s = np.array([job.run for job in case.jobs])
    world = trace_world(state, case.submit, run_s, np.arange(len(run_s)), schedule, None)
    drive(state, watched(world, seen), watch=lambda _now, _decision: check_state(state))
    return state, schedule, seen


def work_kept(case: Case, row: int, attempts: list[Attempt]) -> Iterator[float]:
    """Give the work of each attempt that need not be done again [s at rate 1]."""
    own = case.kinds[case.jobs[row].kind]
    for number, attempt in enumerate(attempts):
        ran_s = attempt.ended - attempt.began - (own.restart_s if number else 0.0)
        last = number == len(attempts) - 1
        if own.checkpoint_s and not last and ran_s > 0:
            ran_s -= ran_s % own.checkpoint_s
        rate = case.speeds[case.jobs[row].kind][case.network.pools[attempt.pool].accelerator]
        yield max(0.0, ran_s) * rate


# ------------------------------------------------------------------------------- safety
@preempting
@given(case=stoppable(exact=False))
def test_only_what_may_be_stopped_is(policy: Policy, case: Case) -> None:
    """No rule is broken, nobody runs twice, and a job that may not be stopped never is."""
    _, schedule, seen = run(case, policy)
    for row, job in enumerate(case.jobs):
        assert schedule.stops[row] == max(0, len(seen[row]) - 1)
        assert schedule.stops[row] == 0 or case.kinds[job.kind].restart_s < inf


@preempting
@given(case=stoppable())
def test_every_second_of_work_is_done(policy: Policy, case: Case) -> None:
    """The attempts of a job, restarts and lost work left aside, add up to its run time."""
    _, schedule, seen = run(case, policy)
    for row, job in enumerate(case.jobs):
        if np.isfinite(schedule.end_s[row]):
            done = sum(work_kept(case, row, seen[row]))
            assert done == pytest.approx(job.run, rel=1e-9, abs=1e-9)


# ----------------------------------------------------------------------------- progress
@preempting
@given(case=stoppable(exact=False))
def test_a_stopped_job_goes_on_in_the_end(policy: Policy, case: Case) -> None:
    """The same jobs end as when none may be stopped."""
    fixed = tuple(replace(one, restart_s=inf) for one in case.kinds)
    _, schedule, _ = run(case, policy)
    without = replace(case, kinds=fixed).run(policy)
    assert np.isfinite(schedule.end_s).tolist() == np.isfinite(without.end_s).tolist()


# ------------------------------------------------------------------------ when it pays
@given(
    left=st.floats(1.0, 100.0),
    short=st.floats(1.0, 100.0),
    restart=st.sampled_from([0.0, 2.0, 20.0]),
)
def test_a_job_is_stopped_exactly_when_that_saves_time(
    left: float, short: float, restart: float
) -> None:
    """One accelerator: the shorter job goes first when that lowers the sum of both ends."""
    ends_if_stopped = short + (short + restart + left)
    ends_if_not = left + (left + short)
    if abs(ends_if_stopped - ends_if_not) < 1e-6:
        return
    case = Case(
        network([(0, "a", 1, 1)]),
        (kind(0, 1, restart_s=restart), kind(1, 1)),
        ({"a": 1.0}, {"a": 1.0}),
        (Job(0, 0.0, 50.0 + left), Job(1, 50.0, short)),
    )
    _, schedule, _ = run(case, POLICIES["price"])
    assert bool(schedule.stops[0]) == (ends_if_stopped < ends_if_not)
    assert schedule.end_s.sum() == pytest.approx(100.0 + min(ends_if_stopped, ends_if_not))


def test_a_job_moves_to_a_faster_chip_only_when_it_gains_more_than_the_move_costs() -> None:
    """A job moves to a chip twice as fast early in its life, and not shortly before its end."""

    def moves(left: float) -> bool:
        case = Case(
            network([(0, "a", 1, 1), (1, "b", 1, 1)]),
            (kind(0, 1, restart_s=10.0), kind(1, 1)),
            ({"a": 1.0, "b": 2.0}, {"a": 0.0, "b": 1.0}),
            (Job(1, 0.0, 100.0), Job(0, 1.0, 99.0 + left)),
        )
        _, schedule, _ = run(case, POLICIES["price"])
        return bool(schedule.stops[1])

    assert moves(200.0)
    assert not moves(15.0)


# --------------------------------------------------------------------------- invariance
@preempting
@given(case=stoppable(exact=False))
def test_the_same_case_gives_the_same_bytes(policy: Policy, case: Case) -> None:
    """A schedule with stops is a function of the case, to the last bit."""
    one, two = run(case, policy)[1], run(case, policy)[1]
    assert one.end_s.tobytes() == two.end_s.tobytes()
    assert one.stops.tobytes() == two.stops.tobytes()


# ------------------------------------------------------------------------------- rounds
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
@given(case=stoppable())
def test_rounds_end_every_job_and_start_none_in_between(policy: Policy, case: Case) -> None:
    """In rounds every feasible job ends, none is faster than alone, all start at a round."""
    policy = replace(policy, preempts=True)
    state = case.state(policy)
    run_s = np.array([job.run for job in case.jobs])
    times: list[float] = []

    def watch(now: float, _: object) -> None:
        times.append(now)
        check_state(state)

    runnable = state.rates_by_pool().max(axis=1)[state.snapshot.jobs["kind"]] > 0
    rounds = Rounds(3.0, np.zeros(len(run_s)))
    schedule = simulate_rounds(state, case.submit, run_s, runnable, rounds, watch)
    assert np.isfinite(schedule.end_s).tolist() == runnable.tolist()
    assert set(schedule.start_s[runnable].tolist()) <= set(times)
    fastest = np.array([max(case.speeds[job.kind].values(), default=0.0) for job in case.jobs])
    took_s = (schedule.end_s - schedule.start_s)[runnable]
    assert (took_s >= (run_s[runnable] / fastest[runnable]) * (1 - 1e-9)).all()
