"""Summaries and equal service on cases small enough to work out by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tieline.model.accelerator import Accelerator, Rate
from tieline.model.network import Network, Pool, Region, Site, Tenant
from tieline.model.trace import Trace
from tieline.model.workload import Workload
from tieline.scheduling.registry import policy_named
from tieline.simulation.bound import bound_of
from tieline.simulation.comparison import compare, equal_services
from tieline.simulation.equal_service import equal_service, serves_as_well
from tieline.simulation.replay import Replay, replay
from tieline.simulation.scaling import scaled
from tieline.simulation.summary import Tenant as TenantSummary
from tieline.simulation.summary import same_jobs, summarise

CHIPS = {
    name: Accelerator(name, name, "V", "US", "cuda", rates={"training": Rate(rate, "assumed", "")})
    for name, rate in (("chip", 1.0), ("half", 0.5))
}

Row = tuple[float, float, int, str]


def network_of(*sizes: int, per_node: int = 1, chip: str = "chip") -> Network:
    """Give sites a, b, ... with so many nodes, each the home of the tenant of its name."""
    names = "abcdefgh"[: len(sizes)]
    sites = tuple(
        Site(name, "r", (Pool(f"{name}/{chip}", name, chip, nodes, per_node),))
        for name, nodes in zip(names, sizes, strict=True)
    )
    tenants = tuple(Tenant(name, home=name) for name in names)
    return Network("made", (Region("r"),), sites, (), tenants, (), tuple(CHIPS.values()))


def trace_of(rows: Sequence[Row]) -> Trace:
    """Give (submission, run time, accelerators, tenant) as a trace."""
    submit, duration, count, tenant = zip(*rows, strict=True)
    names = tuple(sorted(set(tenant)))
    return Trace(
        "made",
        np.array(submit, np.float64),
        np.array(duration, np.float64),
        np.array(count, np.int32),
        np.array([names.index(name) for name in tenant], np.int32),
        np.zeros(len(rows), np.int32),
        names,
        (Workload("training"),),
    )


def run(network: Network, rows: Sequence[Row], policy: str) -> Replay:
    """Replay rows whose run times hold on `chip`."""
    return replay(network, trace_of(rows), policy_named(policy), CHIPS, relative_to="chip")


def test_the_numbers_add_up() -> None:
    """Completion, wait, makespan, use and means by tenant are what one gets by hand."""
    rows = [(0.0, 100.0, 2, "a"), (10.0, 50.0, 2, "a"), (20.0, 30.0, 1, "b")]
    done = run(network_of(2, 2), rows, "isolated")
    summary = summarise(done, bound_of(done))
    assert (summary.finished, summary.rejected, summary.rejected_for) == (3, 0, {})
    assert summary.mean_jct_s == pytest.approx((100 + 140 + 30) / 3)
    assert summary.p50_jct_s == 100
    assert summary.mean_wait_s == pytest.approx(90 / 3)
    assert summary.makespan_s == 150
    assert summary.utilisation == pytest.approx((200 + 100 + 30) / (4 * 150))
    assert summary.utilisation_by_pool == pytest.approx(
        {"a/chip": 300 / (2 * 150), "b/chip": 30 / (2 * 150)}
    )
    assert summary.by_tenant == {
        "a": TenantSummary(2, 45.0, 120.0),
        "b": TenantSummary(1, 0.0, 30.0),
    }
    assert summary.bound_s == pytest.approx(60.0)
    assert summary.bound_ratio == pytest.approx(1.5)


def test_rejections_carry_their_reason() -> None:
    """A job too large and a job of a tenant without a home are rejected for these reasons."""
    rows = [(0.0, 1.0, 9, "a"), (0.0, 1.0, 3, "a"), (0.0, 1.0, 1, "z"), (0.0, 1.0, 1, "a")]
    separate = run(network_of(2, 4), rows, "isolated")
    joined = run(network_of(2, 4), rows, "fifo")
    assert summarise(separate, bound_of(separate)).rejected_for == {"gang": 2, "home": 1}
    assert summarise(joined, bound_of(joined)).rejected_for == {"gang": 1}
    assert np.isnan(separate.wait_s[:3]).all()
    assert separate.ran.tolist() == [False, False, False, True]


def test_policies_are_compared_on_the_same_jobs() -> None:
    """When policies reject different jobs, their means are also given over the common ones."""
    rows = [(0.0, 10.0, 1, "a"), (0.0, 1000.0, 1, "z")]
    replays = [run(network_of(1, 1), rows, name) for name in ("isolated", "fifo")]
    same = same_jobs(replays)
    assert same is not None
    assert same.jobs == 1
    assert same.mean_jct_s == {"isolated": 10.0, "fifo": 10.0}
    assert same_jobs([replays[1], replays[1]]) is None


def test_nothing_that_ran_gives_no_numbers() -> None:
    """Where no job ran there is no mean, rather than zero or nan."""
    done = run(network_of(1), [(0.0, 1.0, 5, "a")], "price")
    summary = summarise(done, None)
    assert (summary.finished, summary.rejected) == (0, 1)
    assert summary.mean_jct_s is summary.makespan_s is summary.utilisation is None


def test_prices_show_where_others_wait() -> None:
    """A pool that jobs wait for has a price; its mean is weighted by time over the makespan."""
    rows = [(0.0, 100.0, 1, "a"), (0.0, 200.0, 1, "a")]
    done = run(network_of(1), rows, "price")
    summary = summarise(done, bound_of(done))
    # For 100 s of 300 s a job of 200 s waits for the one accelerator.
    assert summary.mean_price_by_pool == pytest.approx({"a/chip": (1 / 200) * 100 / 300})
    assert summary.gap_mean == pytest.approx(0.0, abs=1e-9)


def test_slower_chips_take_longer() -> None:
    """A job takes its run time divided by the rate of the chip it runs on."""
    done = run(network_of(1, chip="half"), [(0.0, 10.0, 1, "a")], "fifo")
    assert done.jct_s.tolist() == [20.0]
    assert bound_of(done).best_s == pytest.approx(20.0)


def test_nodes_are_scaled_and_never_vanish() -> None:
    """Scaling multiplies nodes, rounds them and leaves at least one of each pool."""
    base = network_of(64, 16, 1, per_node=8)
    assert [pool.nodes for pool in scaled(base, 0.3).pools] == [19, 5, 1]
    assert scaled(base, 1.0) == base
    assert {pool.accelerators_per_node for pool in scaled(base, 0.3).pools} == {8}


#: Eight jobs at once, all of them from the first of two centres of four accelerators.
BURST: list[Row] = [(0.0, 100.0, 1, "a")] * 8


def test_equal_service_counts_accelerators() -> None:
    """Centres that stand idle for others must be doubled when they are not joined."""
    base = network_of(4, 4)

    def both(network: Network, policy: str) -> Replay:
        return run(network, BURST, policy)

    at = compare(
        base,
        1.0,
        [policy_named("isolated"), policy_named("fifo")],
        lambda network, policy: both(network, policy.name),
    )
    needs = equal_services(
        base,
        at,
        policy_named("isolated"),
        [policy_named("fifo")],
        lambda network, policy: both(network, policy.name),
    )["fifo"]
    assert needs.separate is not None
    assert needs.joined is not None
    # All eight run at once where they are at home; half of the two centres serves as well.
    assert needs.separate.accelerators == 16
    assert needs.separate.mean_jct_s == needs.separate.target_jct_s == 100.0
    assert needs.joined.accelerators == 4
    assert needs.joined.mean_jct_s == needs.joined.target_jct_s == 150.0


def test_equal_service_is_out_of_reach_for_slow_chips() -> None:
    """No number of slow chips finishes a job as soon as a fast one."""
    target = run(network_of(1), [(0.0, 10.0, 1, "a")], "fifo")
    base = network_of(1, chip="half")
    assert equal_service(target, base, lambda n: run(n, [(0.0, 10.0, 1, "a")], "fifo")) is None


def test_a_network_too_small_for_a_job_does_not_serve_as_well() -> None:
    """Turning away a large job is no way to serve the others sooner."""
    rows: list[Row] = [(0.0, 1000.0, 4, "a"), (1.0, 1.0, 1, "a")]
    large, small = run(network_of(4), rows, "fifo"), run(network_of(1), rows, "fifo")
    assert float(small.jct_s[1]) < float(large.jct_s[1])
    assert not serves_as_well(small, large, 0.0)
    assert serves_as_well(large, large, 0.0)


def test_missed_deadlines_are_counted() -> None:
    """Of the jobs with a deadline, those count as missed that ended after it, not at it."""
    trace = replace(
        trace_of([(0, 10, 1, "a"), (0, 20, 1, "a"), (0, 30, 1, "a"), (0, 5, 9, "a")]),
        deadline_s=np.array([10.0, 19.0, np.inf, 50.0]),
    )
    one = replay(network_of(3), trace, policy_named("price"), CHIPS, relative_to="chip")
    summary = summarise(one, None)
    assert (summary.deadlines, summary.deadlines_missed) == (2, 1)


def test_a_trace_without_deadlines_misses_none() -> None:
    """Jobs without a deadline are not counted."""
    summary = summarise(run(network_of(1), [(0, 10, 1, "a")], "price"), None)
    assert (summary.deadlines, summary.deadlines_missed) == (0, 0)
