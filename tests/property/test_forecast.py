"""Forecasts: equal to what comes to pass where nothing is unknown, and never a change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.state import State
from tieline.scheduling.policy import Policy
from tieline.scheduling.registry import POLICIES
from tieline.simulation.driver import Schedule, Visits, simulate
from tieline.simulation.forecast import Forecast, forecast
from tieline.simulation.futures import Past, as_estimated, draw_futures
from twins.cases import Case, cases, drawn_market

every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
#: Dozens of jobs at once on a few small pools: most of them wait.
crowds = st.integers(0, 100_000).map(drawn_market)
moments = st.one_of(st.integers(0, 60), st.floats(0.0, 90.0)).map(float)


def bytes_of(state: State) -> list[bytes]:
    """Give all that a state decides by, to the byte."""
    return [array.tobytes() for array in state.snapshot] + [repr(state.kinds).encode()]


def waiting(state: State) -> list[int]:
    """Give the rows that wait."""
    return np.flatnonzero(state.snapshot.jobs["waiting"][: state.n_jobs]).tolist()


def looked_at(case: Case, policy: Policy, moment: float, look: object) -> Schedule:
    """Run the jobs that come up to the moment, and look at the state then."""
    run = np.array([job.run for job in case.jobs])
    visits = Visits([moment], look)  # type: ignore[arg-type]
    comes = case.submit <= moment
    return simulate(case.state(policy), case.submit, run, comes, visits=visits)


@every_policy
@given(case=st.one_of(cases(), crowds), moment=moments)
def test_without_noise_and_later_jobs_the_forecast_comes_true(
    policy: Policy, case: Case, moment: float
) -> None:
    """With exact estimates and no later arrivals each job starts when and where foretold."""
    told: dict[int, Forecast] = {}

    def look(now: float, state: State, _: Schedule) -> None:
        fork, rows = state.fork()
        asked = waiting(fork)
        found = forecast(fork, asked, now, [as_estimated(fork, now)])
        told.update(zip(rows[asked].tolist(), found, strict=True))

    schedule = looked_at(case, policy, moment, look)
    for row, one in told.items():
        assert one.low_s == one.start_s == one.high_s
        if np.isnan(schedule.start_s[row]):
            assert (one.start_s, one.until_s, one.pool) == (np.inf, np.inf, -1)
        else:
            assert (one.start_s, one.pool) == (schedule.start_s[row], schedule.pool[row])


@every_policy
@given(
    case=st.one_of(cases(exact=False), crowds),
    moment=moments,
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_a_forecast_is_a_range_and_leaves_the_state_as_it_is(
    policy: Policy, case: Case, moment: float, seed: int, data: st.DataObject
) -> None:
    """low <= start <= high, none in the past, and the state is untouched to the byte."""

    def look(now: float, state: State, _: Schedule) -> None:
        before = bytes_of(state)
        fork, rows = state.fork()
        jobs = state.snapshot.jobs[: state.n_jobs]
        seen = np.flatnonzero(jobs["submitted"] <= now)
        ratios = data.draw(st.lists(st.floats(0.01, 100.0), min_size=20, max_size=25))
        # Hours for seconds, so that there is enough of a history to draw from.
        early = (jobs["submitted"][seen] - now) * 3600 + now
        works = np.linspace(0.0, 100.0, len(ratios))
        past = Past(early, jobs["kind"][seen], jobs["work"][seen], works, np.array(ratios))
        kept = bytes_of(fork)
        futures = draw_futures(fork, now, past, np.random.default_rng(seed), 5)
        asked = waiting(fork)
        for anew in (False, True):
            for one in forecast(fork, asked, now, futures, anew=anew):
                assert now <= one.low_s <= one.start_s <= one.high_s
                assert one.until_s == np.inf or one.until_s >= now
                assert (one.pool >= 0) == np.isfinite(one.start_s)
        assert bytes_of(fork) == kept
        assert bytes_of(state) == before
        assert rows[asked].tolist() == waiting(state)

    looked_at(case, policy, moment, look)


@every_policy
@given(case=cases(exact=False), moment=moments)
def test_a_fork_decides_as_the_state_does(policy: Policy, case: Case, moment: float) -> None:
    """A schedule with a look at every second is the same to the bit as one without."""
    run = np.array([job.run for job in case.jobs])
    every = np.ones(len(run), np.bool_)

    def look(now: float, state: State, _: Schedule) -> None:
        fork, _ = state.fork()
        forecast(fork, waiting(fork), now, [as_estimated(fork, now)])

    seen = simulate(
        case.state(policy), case.submit, run, every, visits=Visits([moment, moment + 1], look)
    )
    plain = case.run(policy)
    assert seen.start_s.tobytes() == plain.start_s.tobytes()
    assert seen.pool.tobytes() == plain.pool.tobytes()
