"""Jobs that have waited too long: under every policy that promises it, and in detail `price`."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.control.cycle import Observations, run_cycle
from tieline.model.snapshot import Snapshot
from tieline.scheduling.policies.price import PRICE
from tieline.scheduling.policies.shortest import SHORTEST
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.registry import POLICIES
from tieline.scheduling.turn import urgent_jobs
from tieline.simulation.driver import simulate
from twins.cases import Case, Job, kind, network, one_kind
from twins.decisions import Left, guarded
from twins.invariants import check_state

HOUR = 3600.0
DAY = 24 * HOUR
PATIENCE = 3 * DAY + 10 * HOUR
"""After which a job that runs for an hour is urgent under `price`."""
PATIENT = [policy for policy in POLICIES.values() if policy is not SHORTEST]
"""Every policy that promises not to let a job starve."""


def crowd(count: int, size: int, nodes: int, run: float, span: float) -> Case:
    """Give one gang among small jobs that keep coming as fast as they can be served.

    Some wait from the start, so that there is always one that fits where another has ended.
    """
    room = size * nodes
    first = [Job(1, 0.0, run * (0.9 + 0.2 * (i % 7) / 7)) for i in range(2 * room)]
    later = [Job(1, run * i / room, run) for i in range(1, int(span / run * room))]
    return Case(
        network([(0, "a", nodes, size)]),
        (kind(0, count), kind(1, 1)),
        ({"a": 1.0}, {"a": 1.0}),
        (*first, Job(0, 1.0, HOUR), *later),
    )


# ----------------------------------------------------------------------------- progress
@pytest.mark.parametrize("policy", PATIENT, ids=lambda policy: policy.name)
@settings(max_examples=8)
@given(gang=st.integers(2, 8), nodes=st.integers(1, 2))
def test_no_gang_waits_for_ever_behind_small_jobs(policy: Policy, gang: int, nodes: int) -> None:
    """Under an endless stream of small jobs a gang of any size starts within a bound."""
    case = crowd(min(gang, 4 * nodes), 4, nodes, 2 * HOUR, 8 * DAY)
    waited = case.run(policy).start_s[8 * nodes]
    # Its patience, until what runs has ended, and what is in front of it.
    assert waited <= PATIENCE + 5 * HOUR


def test_by_value_alone_it_would_wait_for_ever() -> None:
    """The stream above does hold up a gang under a policy that promises nothing."""
    case = crowd(4, 4, 1, 2 * HOUR, 8 * DAY)
    assert case.run(SHORTEST).start_s[8] > 7 * DAY


def test_short_jobs_start_in_front_of_a_reservation() -> None:
    """While an urgent gang waits for its nodes, a job that ends before then uses what is free."""
    gang, before, short = Job(0, 0.0, 10.0), Job(1, 0.0, 9.0 * HOUR), Job(1, 3 * HOUR, 600.0)
    filler = [Job(1, 0.0, 8.5 * HOUR) for _ in range(2)]
    case = Case(
        network([(0, "a", 1, 4)]),
        (kind(0, 4), kind(1, 1)),
        ({"a": 1.0}, {"a": 1.0}),
        (before, *filler, replace(gang, submit=1.0), short, replace(short, run=20 * HOUR)),
    )
    schedule = case.run(PRICE, case.state(guarded(PRICE)))
    assert schedule.start_s[4] == 3 * HOUR
    assert schedule.start_s[3] == 9 * HOUR
    assert schedule.start_s[5] == 9 * HOUR + 10.0


# ------------------------------------------------------------------------------- safety
@settings(max_examples=15)
@given(data=st.data())
def test_urgent_jobs_break_no_rule(data: st.DataObject) -> None:
    """With jobs of all ages and deadlines no rule is broken, and what fits nowhere is reserved."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    made = [(int(rng.integers(3)), m, int(rng.integers(1, 3)), 4) for m in "ab"]
    case = Case(
        network(sorted(made)),
        tuple(kind(k, int(rng.choice([1, 2, 4, 6]))) for k in range(4)),
        tuple({"a": 1.0, "b": float(rng.choice([0.5, 1.0, 2.0]))} for _ in range(4)),
        tuple(
            Job(int(rng.integers(4)), float(at), float(rng.lognormal(6.5, 1.2)))
            for at in np.sort(rng.uniform(0, 4 * HOUR, 120))
        ),
    )
    state = case.state(guarded(PRICE))
    due = case.submit + rng.choice([np.inf, 0.5, 1.0, 3.0], 120) * HOUR
    state.snapshot.jobs["deadline"][:120] = due
    schedule = case.run(PRICE, state, watch=lambda _now, _decision: check_state(state))
    fits = [any(case.may_use(job.kind, pool) for pool in case.network.pools) for job in case.jobs]
    assert np.isfinite(schedule.end_s).tolist() == fits


def test_a_reservation_is_kept() -> None:
    """Once an urgent gang may start nowhere, nobody who starts later sets it back."""
    case = crowd(8, 4, 2, 2 * HOUR, 8 * DAY)
    urgent_since = []

    def check(s: Snapshot, now: float, _decision: Decision, left: Left) -> None:
        waits = s.jobs["waiting"][16] and 16 not in left.placed
        if waits and len(urgent_jobs(s, now)):
            urgent_since.append(now)
            # On one pool all nodes are reserved: at the last end of what ran then.
            ends = s.jobs["ends"][s.running[: s.n_running[0]]]
            assert ends.max() <= urgent_since[0] + 2.2 * HOUR

    schedule = case.run(PRICE, case.state(guarded(PRICE, check)))
    assert urgent_since
    assert schedule.start_s[16] <= urgent_since[0] + 2.2 * HOUR


# ---------------------------------------------------------------------------- deadlines
def test_a_deadline_far_away_changes_nothing() -> None:
    """As long as there is time to wait, value decides."""
    case = one_kind(
        [(0, "a", 1, 1)], 1, [Job(0, 0.0, 500.0), Job(0, 1.0, 900.0), Job(0, 1.0, 90.0)]
    )
    state = case.state(PRICE)
    state.snapshot.jobs["deadline"][1] = 9000.0
    assert case.run(PRICE, state).start_s.tolist() == [0.0, 590.0, 500.0]


# ----------------------------------------------------------------- priorities, preemption
@given(priority=st.integers(-4, 4), run=st.floats(100.0, 1000.0), ratio=st.floats(0.02, 50.0))
def test_a_priority_counts_like_a_run_time_divided_by_its_power_of_two(
    priority: int, run: float, ratio: float
) -> None:
    """Of two jobs for one chip, the first is the one with the lower run time / 2^priority."""
    if abs(ratio / 2.0**priority - 1.0) < 0.01:
        return
    case = Case(
        network([(0, "a", 1, 1)]),
        (kind(0, 1), kind(1, 1, priority=priority)),
        ({"a": 1.0}, {"a": 1.0}),
        (Job(0, 0.0, run), Job(1, 0.0, run * ratio)),
    )
    start = case.run(PRICE).start_s
    assert (start[1] == 0.0) == (run * ratio / 2.0**priority < run)


def test_a_job_that_runs_has_not_waited() -> None:
    """A job that may be stopped is not urgent for the time it ran, before or after a stop."""
    case = Case(
        network([(0, "a", 1, 1)]),
        (kind(0, 1, restart_s=0.0), kind(1, 1)),
        ({"a": 1.0}, {"a": 1.0}),
        (Job(0, 0.0, 90 * HOUR), Job(1, 30 * HOUR, HOUR)),
    )
    state = case.state(PRICE)
    row = np.array([0])
    run_cycle(state, Observations(submitted=row), 0.0)
    actions, state, _ = run_cycle(state, Observations(submitted=np.array([1])), 30 * HOUR)
    assert actions.stops.tolist() == [0]
    run_cycle(state, Observations(ended=row, submitted=row), 30 * HOUR)
    s = state.snapshot
    assert s.jobs["waiting"][0]
    assert s.jobs["served"][0] == 30 * HOUR
    for hours, urgent in ((30 + 72 + 599, 0), (30 + 72 + 601, 1)):
        found = urgent_jobs(s, hours * HOUR)
        assert len(found) == urgent


def test_an_urgent_job_that_runs_is_not_stopped_for_value() -> None:
    """One that was urgent when it started keeps its place: else it would wait for ever again."""
    jobs = [Job(1, i * 0.9 * HOUR, HOUR) for i in range(1, 400)]
    case = Case(
        network([(0, "a", 1, 1)]),
        (kind(0, 1, restart_s=60.0), kind(1, 1)),
        ({"a": 1.0}, {"a": 1.0}),
        (Job(0, 0.0, 10 * HOUR), *jobs),
    )
    state = case.state(PRICE)
    run = np.array([job.run for job in case.jobs])
    schedule = simulate(state, case.submit, run, np.ones(len(run), np.bool_))
    assert schedule.stops[0] == 1
    assert schedule.end_s[0] <= 3 * DAY + 100 * HOUR + 13 * HOUR
