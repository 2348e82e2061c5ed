"""Who stands before a waiting job at a pool, and at which worth."""

import numpy as np
import pytest

from tieline.control.cycle import Observations, run_cycle
from tieline.control.state import State
from tieline.scheduling.explain import Explanation, explain
from tieline.scheduling.registry import policy_named
from twins.cases import Case, Job, kind, network

#: Kind 0 takes all four of the first pool, kinds 1 to 3 half of it; kind 2 is slow there.
KINDS = (kind(0, 4), kind(1, 2), kind(2, 2), kind(3, 8))
SPEEDS = ({"a": 1.0}, {"a": 1.0}, {"a": 0.5}, {"a": 1.0})
JOBS = (
    Job(0, 0.0, 100.0),  # runs: 1 / 100 / 4
    Job(1, 1.0, 10.0),  # 1 / 10 / 2
    Job(1, 2.0, 50.0),  # 1 / 50 / 2
    Job(2, 3.0, 10.0),  # 1 / 20 / 2
    Job(3, 4.0, 1.0),  # larger than the pool
)


def asked(policy: str, row: int) -> tuple[State, Explanation]:
    """Give the state when all have come, and the answers to one job."""
    case = Case(network([(0, "a", 1, 4)]), KINDS, SPEEDS, JOBS)
    state = case.state(policy_named(policy))
    for job in range(len(JOBS)):
        run_cycle(state, Observations(submitted=np.array([job])), float(job))
    return state, explain(state.snapshot, state.policy, case.network.pools, row)


def test_by_worth_those_that_are_worth_more_come_first() -> None:
    """Under `price` waiting jobs worth more are ahead; the best of them is the one to beat."""
    _, told = asked("price", 2)
    contest = told.answers[0].contest
    assert (contest.running, contest.ahead) == (1, 2)
    assert [one.row for one in contest.top] == [1, 3, 0]
    assert [one.worth for one in contest.top] == pytest.approx([1 / 20, 1 / 40, 1 / 400])
    assert [one.running for one in contest.top] == [False, False, True]
    assert contest.top[2].ends_s == 100.0
    assert np.isnan(contest.top[0].ends_s)
    assert contest.to_beat == pytest.approx(1 / 20)
    assert contest.to_beat == told.answers[0].price


def test_whoever_is_worth_most_has_nobody_to_beat() -> None:
    """The job that would start next has no waiting job ahead, and a worth of 0 to beat."""
    _, told = asked("price", 1)
    assert (told.answers[0].contest.ahead, told.answers[0].contest.to_beat) == (0, 0.0)


def test_in_turn_those_that_came_before_come_first() -> None:
    """Under `fifo` the order of submission counts, whatever the worth, and no price does."""
    _, told = asked("fifo", 2)
    contest = told.answers[0].contest
    assert (contest.running, contest.ahead, contest.to_beat) == (1, 1, None)
    assert [one.row for one in contest.top] == [0, 1]


def test_a_job_that_never_runs_there_has_no_rivals() -> None:
    """A pool that is barred for good has no contest."""
    _, told = asked("price", 4)
    contest = told.answers[0].contest
    assert (contest.running, contest.ahead, contest.top, contest.to_beat) == (0, 0, (), None)
    assert told.never
    assert told.sentence.startswith("No pool can ever run it as it is.")
