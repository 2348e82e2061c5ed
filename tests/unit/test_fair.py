"""Fair: service by share over time, across unequal chips, with nobody passed over for ever."""

from collections.abc import Sequence

import numpy as np
import pytest

from tieline.model.network import Tenant
from tieline.scheduling.policies.fair import FAIR
from tieline.simulation.schedule import Schedule
from twins.cases import Case, Job, kind, network


def served(case: Case, schedule: Schedule, first: float, last: float) -> np.ndarray:
    """Give each kind's accelerator-seconds from `first` to `last`, at rates of their best."""
    got = np.zeros(len(case.kinds))
    for job, pool, begin, end in zip(
        case.jobs, schedule.pool, schedule.start_s, schedule.end_s, strict=True
    ):
        speeds = case.speeds[job.kind]
        rate = speeds[case.network.pools[pool].accelerator] / max(speeds.values())
        seconds = max(0.0, min(end, last) - max(begin, first))
        got[job.kind] += case.kinds[job.kind].count * rate * seconds
    return got


def plenty(kinds: Sequence[int], runs: Sequence[float], jobs: int, at: float = 0.0) -> list[Job]:
    """Give so many jobs of each kind, all at one time."""
    return [Job(k, at, run) for _ in range(jobs) for k, run in zip(kinds, runs, strict=True)]


@pytest.mark.parametrize("runs", [(10.0, 10.0), (3.0, 40.0), (40.0, 3.0)])
def test_tenants_get_service_by_their_shares(runs: tuple[float, float]) -> None:
    """With shares 2 and 1 and work always waiting, one gets twice what the other gets."""
    tenants = (Tenant("t0", share=2.0), Tenant("t1", share=1.0))
    case = Case(
        network([(0, "a", 3, 4)], tenants),
        (kind(0, 1, "t0"), kind(1, 1, "t1")),
        ({"a": 1.0}, {"a": 1.0}),
        tuple(plenty((0, 1), runs, 3000)),
    )
    got = served(case, case.run(FAIR), 100.0, 600.0)
    assert got.sum() == 500.0 * 12
    assert got[0] / got[1] == pytest.approx(2.0, rel=0.05)


def test_gangs_count_by_their_size() -> None:
    """A tenant of gangs of four gets as many accelerator-seconds as one of single jobs."""
    case = Case(
        network([(0, "a", 4, 4)], (Tenant("t0"), Tenant("t1"))),
        (kind(0, 4, "t0"), kind(1, 1, "t1")),
        ({"a": 1.0}, {"a": 1.0}),
        tuple(plenty((0, 1), (10.0, 10.0), 2000)),
    )
    got = served(case, case.run(FAIR), 100.0, 600.0)
    assert got[0] / got[1] == pytest.approx(1.0, rel=0.05)


def test_slow_chips_are_made_up_for_by_more_of_them() -> None:
    """At their own rates both get about the same; the one that is slow on `b` has more chips."""
    case = Case(
        network([(0, "a", 4, 1), (1, "b", 12, 1)], (Tenant("t0"), Tenant("t1"))),
        (kind(0, 1, "t0"), kind(1, 1, "t1")),
        ({"a": 1.0, "b": 0.5}, {"a": 1.0, "b": 1.0}),
        tuple(plenty((0, 1), (10.0, 10.0), 2000)),
    )
    schedule = case.run(FAIR)
    got = served(case, schedule, 500.0, 1500.0)
    assert got[0] / got[1] == pytest.approx(0.5**0.25, rel=0.08)
    chips = np.zeros(2)
    for job, begin, end in zip(case.jobs, schedule.start_s, schedule.end_s, strict=True):
        chips[job.kind] += max(0.0, min(end, 1500.0) - max(begin, 500.0))
    assert chips[0] > chips[1]


def test_chips_go_where_they_suit() -> None:
    """Two tenants that both prefer `a`: both get what the best fair split gives them."""
    case = Case(
        network([(0, "a", 8, 1), (1, "b", 8, 1)], (Tenant("t0"), Tenant("t1"))),
        (kind(0, 1, "t0"), kind(1, 1, "t1")),
        ({"a": 1.0, "b": 0.9}, {"a": 1.0, "b": 0.2}),
        tuple(plenty((0, 1), (10.0, 10.0), 2000)),
    )
    got = served(case, case.run(FAIR), 500.0, 1500.0) / 1000.0
    # y of `a` for t1, the rest of it and all `b` for t0: 8 - y + 0.9 x 8 = y, so y = 7.6.
    assert got == pytest.approx([7.6, 7.6], rel=0.06)


def test_idling_earns_no_credit() -> None:
    """A tenant that was away for long gets its share from then on, not what it missed."""
    jobs = [*plenty((0,), (10.0,), 4000), *plenty((1,), (10.0,), 2000, at=1000.0)]
    case = Case(
        network([(0, "a", 10, 1)], (Tenant("t0"), Tenant("t1"))),
        (kind(0, 1, "t0"), kind(1, 1, "t1")),
        ({"a": 1.0}, {"a": 1.0}),
        tuple(jobs),
    )
    got = served(case, case.run(FAIR), 1050.0, 1450.0)
    assert got[0] / got[1] == pytest.approx(1.0, rel=0.05)


def test_who_had_more_gives_way_until_it_is_even() -> None:
    """A tenant that held everything when the other came has as much as that one later on."""
    jobs = [*plenty((0,), (100.0,), 200), *plenty((1,), (10.0,), 2000, at=1.0)]
    case = Case(
        network([(0, "a", 10, 1)], (Tenant("t0"), Tenant("t1"))),
        (kind(0, 1, "t0"), kind(1, 1, "t1")),
        ({"a": 1.0}, {"a": 1.0}),
        tuple(jobs),
    )
    schedule = case.run(FAIR)
    assert served(case, schedule, 0.0, 100.0)[1] == 0.0
    assert np.divide(*served(case, schedule, 100.0, 200.0)) < 0.5
    assert np.divide(*served(case, schedule, 0.0, 1800.0)) == pytest.approx(1.0, rel=0.15)


def test_a_large_gang_is_not_passed_over() -> None:
    """A gang of the whole pool starts while other tenants go on submitting small jobs."""
    small = [Job(1 + i % 2, float(i), 9.0 + i % 3) for i in range(1, 1500)]
    case = Case(
        network([(0, "a", 4, 2)], (Tenant("t0"), Tenant("t1"), Tenant("t2"))),
        (kind(0, 8, "t0"), kind(1, 1, "t1"), kind(2, 1, "t2")),
        ({"a": 1.0}, {"a": 1.0}, {"a": 1.0}),
        tuple(sorted([Job(0, 100.0, 50.0), *small], key=lambda job: job.submit)),
    )
    gang = next(row for row, job in enumerate(case.jobs) if job.kind == 0)
    assert case.run(FAIR).start_s[gang] < 250.0


def test_younger_jobs_do_not_set_back_an_older_gang_of_their_tenant() -> None:
    """A tenant's own small jobs, let past its gang, do not cost the gang its turn."""
    small = [Job(1 + i % 2, float(i), 9.0 + i % 3) for i in range(1, 1500)]
    case = Case(
        network([(0, "a", 4, 2)], (Tenant("t0"), Tenant("t1"))),
        (kind(0, 8, "t0"), kind(1, 1, "t0"), kind(2, 1, "t1")),
        ({"a": 1.0}, {"a": 1.0}, {"a": 1.0}),
        tuple(sorted([Job(0, 100.0, 50.0), *small], key=lambda job: job.submit)),
    )
    gang = next(row for row, job in enumerate(case.jobs) if job.kind == 0)
    assert case.run(FAIR).start_s[gang] < 250.0
