"""Every policy, on made-up networks: what never happens, and what happens in the end."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tieline.scheduling.policies.price import PRICE
from tieline.scheduling.policy import Policy
from tieline.scheduling.registry import POLICIES
from twins.cases import MODELS, Case, cases
from twins.decisions import guarded
from twins.invariants import check_state

every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())


# ------------------------------------------------------------------------------- safety
@every_policy
@given(case=cases(exact=False))
def test_no_rule_is_ever_broken(policy: Policy, case: Case) -> None:
    """Never more than capacity or quota, nothing ineligible, no job twice, no snapshot written."""
    state = case.state(guarded(policy))
    case.run(policy, state, watch=lambda _now, _decision: check_state(state))


@every_policy
@given(case=cases())
def test_jobs_start_only_where_the_rules_in_words_allow(policy: Policy, case: Case) -> None:
    """A job starts after it came, only on a pool it may use, and runs at that pool's rate."""
    schedule = case.run(policy)
    for row, job in enumerate(case.jobs):
        if schedule.pool[row] < 0:
            continue
        pool = case.network.pools[schedule.pool[row]]
        assert case.may_use(job.kind, pool)
        assert not policy.home_only or at_home(case, job.kind, pool.site)
        assert schedule.start_s[row] >= job.submit
        run = job.run / case.speeds[job.kind][pool.accelerator]
        assert schedule.end_s[row] == schedule.start_s[row] + run


# ----------------------------------------------------------------------------- progress
@every_policy
@given(case=cases(exact=False))
def test_every_feasible_job_runs_in_the_end(policy: Policy, case: Case) -> None:
    """When arrivals stop, exactly the jobs that some pool may run have run."""
    schedule = case.run(policy)
    feasible = [
        any(
            case.may_use(job.kind, pool)
            and (not policy.home_only or at_home(case, job.kind, pool.site))
            for pool in case.network.pools
        )
        for job in case.jobs
    ]
    assert np.isfinite(schedule.end_s).tolist() == feasible


# --------------------------------------------------------------------------- invariance
@every_policy
@given(case=cases(exact=False))
def test_the_same_case_gives_the_same_bytes(policy: Policy, case: Case) -> None:
    """A schedule is a function of the case, to the last bit."""
    one, two = case.run(policy), case.run(policy)
    assert one.start_s.tobytes() == two.start_s.tobytes()
    assert one.end_s.tobytes() == two.end_s.tobytes()
    assert one.pool.tobytes() == two.pool.tobytes()


@every_policy
@given(
    case=cases(shortest_run=8.0, rates=(0.0, 0.5, 1.0, 2.0)),
    scale=st.sampled_from([0.25, 0.5, 1024]),
)
def test_the_unit_of_time_does_not_matter(policy: Policy, case: Case, scale: float) -> None:
    """All times multiplied by c: every start is multiplied by c, on the same pool.

    Under `price` within the days for which every job is patient: that is a fixed time.
    """
    assume(policy is not PRICE or scale < 1)
    scaled = [replace(job, submit=job.submit * scale, run=job.run * scale) for job in case.jobs]
    one, two = case.run(policy), replace(case, jobs=tuple(scaled)).run(policy)
    assert np.array_equal(one.start_s * scale, two.start_s, equal_nan=True)
    assert np.array_equal(one.pool, two.pool)


@every_policy
@given(data=st.data(), case=cases())
def test_the_order_of_kinds_does_not_matter(
    policy: Policy, data: st.DataObject, case: Case
) -> None:
    """Kinds of job met in another order give the same schedule, ties in value left aside."""
    case = without_ties(case)
    order = data.draw(st.permutations(range(len(case.kinds))))
    one, two = case.run(policy), case.run(policy, case.state(policy, order))
    assert np.array_equal(one.start_s, two.start_s, equal_nan=True)
    assert np.array_equal(one.pool, two.pool)


@every_policy
@given(data=st.data(), case=cases())
def test_the_order_of_pools_does_not_matter(
    policy: Policy, data: st.DataObject, case: Case
) -> None:
    """Sites listed in another order give the same schedule, ties in value left aside."""
    case = without_ties(case)
    sites = data.draw(st.permutations(case.network.sites))
    other = replace(case, network=replace(case.network, sites=tuple(sites)))
    one, two = case.run(policy), other.run(policy)
    assert np.array_equal(one.start_s, two.start_s, equal_nan=True)
    assert names(case, one.pool) == names(other, two.pool)


def at_home(case: Case, k: int, site: str) -> bool:
    """Whether the site is the home of the kind's tenant; a single site is everybody's."""
    return len(case.network.sites) == 1 or case.home_of(k) == site


def names(case: Case, pools: np.ndarray) -> list[str]:
    """Give the ids of pools by row."""
    return ["" if p < 0 else case.network.pools[p].id for p in pools]


def without_ties(case: Case) -> Case:
    """Give every pool a model of its own, and every speed and run time a value of its own."""
    models = iter(MODELS)
    sites = tuple(
        replace(site, pools=tuple(replace(pool, accelerator=next(models)) for pool in site.pools))
        for site in case.network.sites
    )
    speeds = tuple(
        {
            model: rate and rate + 0.01 * k + 0.001 * m
            for m, (model, rate) in enumerate(own.items())
        }
        for k, own in enumerate(case.speeds)
    )
    jobs = tuple(replace(job, run=job.run + 2.0 + row / 97) for row, job in enumerate(case.jobs))
    return replace(case, network=replace(case.network, sites=sites), speeds=speeds, jobs=jobs)
