"""Jobs of several sizes: what never happens, and what happens in the end."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.cycle import Observations, run_cycle
from tieline.scheduling.policy import Policy
from tieline.scheduling.registry import POLICIES
from twins.cases import Case, Job, cases, kind, network
from twins.invariants import check_state

every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())


@st.composite
def resizable(draw: st.DrawFn, **rest: object) -> Case:
    """Draw a case in which most kinds have several sizes, and some may be stopped."""
    case = draw(cases(exact=False, **rest))  # type: ignore[arg-type]
    kinds = tuple(
        replace(
            one,
            least=draw(st.integers(1, one.count)),
            most=one.count * draw(st.integers(1, 4)),
            scaling=draw(st.sampled_from([0.5, 0.9, 1.0])),
            restart_s=draw(st.sampled_from([0.0, 1.0, np.inf])),
        )
        for one in case.kinds
    )
    return replace(case, kinds=kinds)


# ------------------------------------------------------------------------------- safety
@every_policy
@given(case=resizable())
def test_no_rule_is_ever_broken(policy: Policy, case: Case) -> None:
    """Never more than capacity or quota, and every gang is one of the sizes of its job."""
    state = case.state(policy)
    allowed = [set(one.sizes) for one in case.kinds]
    counts = state.snapshot.kinds["count"]

    def watch(_now: float, _decision: object) -> None:
        check_state(state)
        s = state.snapshot
        for row in s.running[: s.n_running[0]]:
            size = s.kinds["count"][s.jobs["kind"][row]]
            assert size in allowed[case.jobs[row].kind]

    case.run(policy, state, watch)
    assert counts.max() >= 1


@given(
    sizes=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=6),
    nodes=st.integers(1, 4),
    waiting=st.booleans(),
)
def test_nobody_grows_into_room_that_another_could_use(
    sizes: list[tuple[int, int]], nodes: int, *, waiting: bool
) -> None:
    """A job has more than its least only where no job waits that could run there."""
    kinds = [kind(i, n, least=n, most=n * times) for i, (n, times) in enumerate(sizes)]
    large = kind(len(kinds), 4 * nodes)
    jobs = [Job(i, 0.0, 10.0) for i in range(len(kinds) + waiting)]
    case = Case(
        network([(0, "a", nodes, 4)]), (*kinds, large), ({"a": 1.0},) * (len(kinds) + 1), (*jobs,)
    )
    state = case.state(POLICIES["price"])
    rows = np.arange(len(jobs))
    actions, _, _ = run_cycle(state, Observations(submitted=rows), 0.0)
    grown = [
        count > sizes[row][0]
        for row, count in zip(actions.rows, actions.counts, strict=True)
        if row < len(sizes)
    ]
    if len(actions.rows) < len(jobs):
        assert not any(grown)


# ----------------------------------------------------------------------------- progress
@every_policy
@given(case=resizable(quotas=False))
def test_every_job_that_fits_on_its_least_runs(policy: Policy, case: Case) -> None:
    """The same jobs run as if each had its least size alone."""
    least = tuple(replace(one, count=one.sizes[0], least=0, most=0) for one in case.kinds)
    alone = replace(case, kinds=least).run(policy)
    assert np.isfinite(case.run(policy).end_s).tolist() == np.isfinite(alone.end_s).tolist()


# ---------------------------------------------------------------------------- behaviour
def test_gangs_are_large_where_it_is_empty_and_small_where_it_is_crowded() -> None:
    """Alone a job takes all it can use; with others waiting each takes its least."""
    one = kind(0, 4, least=2, most=16, scaling=0.7)
    for jobs, expected in [(1, [16]), (2, [8, 8]), (8, [2] * 8), (9, [2] * 8)]:
        case = Case(network([(0, "a", 4, 4)]), (one,), ({"a": 1.0},), (Job(0, 0.0, 10.0),) * jobs)
        state = case.state(POLICIES["price"])
        actions, _, _ = run_cycle(state, Observations(submitted=np.arange(jobs)), 0.0)
        assert actions.counts.tolist() == expected


def test_a_larger_gang_is_as_much_faster_as_the_job_says() -> None:
    """On four times as many accelerators a job takes 4**scaling times less long."""
    one = kind(0, 4, most=16, scaling=0.5)
    case = Case(network([(0, "a", 4, 4)]), (one,), ({"a": 1.0},), (Job(0, 0.0, 10.0),))
    assert case.run(POLICIES["price"]).end_s[0] == pytest.approx(10.0 / 4**0.5)
