"""First come, first served: `fifo` and `isolated` against plain twins."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.model.network import Tenant
from tieline.scheduling.policies.backfill import BACKFILL
from tieline.scheduling.policies.fifo import FIFO
from tieline.scheduling.policies.isolated import ISOLATED
from tieline.scheduling.policy import Policy
from tieline.simulation.schedule import Schedule
from twins.cases import MODELS, Case, Job, cases, kind, network
from twins.turns import InTurn, Start, counter_queue


def starts(schedule: Schedule) -> list[Start]:
    """Give where and when each job started."""
    return [
        None if p < 0 else (float(start), int(p))
        for start, p in zip(schedule.start_s, schedule.pool, strict=True)
    ]


@given(
    jobs=st.lists(
        st.tuples(st.floats(0, 40), st.floats(0, 30), st.integers(1, 6)), min_size=1, max_size=60
    ),
    capacity=st.integers(6, 12),
)
def test_one_node_is_a_queue_with_a_counter(
    jobs: list[tuple[float, float, int]], capacity: int
) -> None:
    """On one node `fifo` starts every job exactly when a plain heap of accelerators does."""
    jobs.sort(key=lambda job: job[0])
    case = Case(
        network([(0, "a", 1, capacity)]),
        tuple(kind(k, k + 1) for k in range(6)),
        ({"a": 1.0},) * 6,
        tuple(Job(count - 1, submit, run) for submit, run, count in jobs),
    )
    assert case.run(FIFO).start_s.tolist() == counter_queue(capacity, jobs)


@pytest.mark.parametrize("policy", [FIFO, ISOLATED], ids=lambda policy: policy.name)
@given(case=cases())
def test_a_network_is_served_as_the_twin_serves_it(policy: Policy, case: Case) -> None:
    """Every job starts when and where a plain Python walk through the queue puts it."""
    assert starts(case.run(policy)) == InTurn(case, home_only=policy.home_only).play()


@given(case=cases(quotas=False))
def test_nobody_is_overtaken(case: Case) -> None:
    """Under `fifo` no job starts before one submitted earlier that could use the same pool."""
    schedule = case.run(FIFO)
    for earlier, later in started_out_of_turn(schedule):
        pool = case.network.pools[schedule.pool[later]]
        assert not case.may_use(case.jobs[earlier].kind, pool)


@given(case=cases())
def test_nobody_is_overtaken_by_a_job_of_the_same_tenant(case: Case) -> None:
    """A quota holds jobs back, but the tenant's own are served in turn all the same."""
    schedule = case.run(FIFO)
    for earlier, later in started_out_of_turn(schedule):
        kinds = [case.kinds[case.jobs[row].kind] for row in (earlier, later)]
        pool = case.network.pools[schedule.pool[later]]
        if kinds[0].tenant == kinds[1].tenant:
            assert not case.may_use(case.jobs[earlier].kind, pool)


def started_out_of_turn(schedule: Schedule) -> Iterator[tuple[int, int]]:
    """Give (earlier row, later row) where the later one started first."""
    start = np.nan_to_num(schedule.start_s, nan=np.inf)
    for earlier, later in combinations(range(len(start)), 2):
        if start[later] < start[earlier]:
            yield earlier, later


@given(case=cases())
def test_isolated_sites_do_not_know_one_another(case: Case) -> None:
    """`isolated` is `fifo` run for each site alone, with the tenants whose home it is."""
    together = case.run(ISOLATED)
    for site in case.network.sites if len(case.network.sites) > 1 else ():
        rows = [r for r, job in enumerate(case.jobs) if case.home_of(job.kind) == site.id]
        alone = replace(
            case,
            network=replace(case.network, sites=(site,)),
            jobs=tuple(case.jobs[row] for row in rows),
        )
        assert np.array_equal(together.start_s[rows], alone.run(FIFO).start_s, equal_nan=True)


@pytest.mark.parametrize("policy", [FIFO, BACKFILL], ids=lambda policy: policy.name)
def test_a_tenant_with_a_quota_does_not_starve_its_own_gang(policy: Policy) -> None:
    """A stream of small jobs within a quota lets the tenant's own large gang through in turn."""
    small = [Job(0, float(t), 2.5) for t in range(100)]
    case = Case(
        network([(0, "a", 1, 8)], [Tenant("t0", quotas={"a": 4})]),
        (kind(0, 1), kind(1, 4)),
        (dict.fromkeys(MODELS, 1.0),) * 2,
        tuple(sorted([*small, Job(1, 10.0, 1.0)], key=lambda job: job.submit)),
    )
    gang = next(row for row, job in enumerate(case.jobs) if job.kind == 1)
    assert case.run(policy).start_s[gang] < 13.0


def test_a_quota_shuts_no_pool_for_other_tenants() -> None:
    """A job that only its tenant's quota holds back lets later jobs of others through."""
    case = Case(
        network([(0, "a", 1, 8)], [Tenant("t0", quotas={"a": 4}), Tenant("t1")]),
        (kind(0, 4, "t0"), kind(1, 4, "t1")),
        ({"a": 1.0},) * 2,
        (Job(0, 0.0, 10.0), Job(0, 0.0, 10.0), Job(1, 0.0, 10.0)),
    )
    assert case.run(FIFO).start_s.tolist() == [0.0, 10.0, 0.0]
