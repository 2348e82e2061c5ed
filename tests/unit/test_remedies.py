"""The cheapest change that starts a waiting job sooner, rule by rule."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tieline.control.cycle import Observations, run_cycle
from tieline.control.state import State
from tieline.model.accelerator import Accelerator, Figure, Rate
from tieline.model.job import JobKind
from tieline.model.network import Dataset, Link, Network, Pool, Region, Site, Tenant
from tieline.model.rates import RateBook
from tieline.model.workload import Workload
from tieline.scheduling.registry import policy_named
from tieline.simulation.forecast import forecast
from tieline.simulation.futures import as_estimated
from tieline.simulation.remedies import Case, Remedies, cheapest_changes


def chip(name: str, stack: str, memory_gb: float) -> Accelerator:
    """Give an accelerator as fast as any other."""
    figures = {"memory_gb": Figure(memory_gb, "GB", "here", "2026", "high")}
    rates = {"training": Rate(1.0, "assumed", "")}
    return Accelerator(name, name, "V", "US", stack, figures=figures, rates=rates)


WORK = Workload("training")
CHIPS = {
    one.id: one
    for one in (chip("big", "cuda", 80.0), chip("small", "cuda", 40.0), chip("npu", "cann", 80.0))
}
BIG = Pool("s1/big", "s1", "big", 1, 4)
SMALL = Pool("s2/small", "s2", "small", 1, 4)
NPU = Pool("s2/npu", "s2", "npu", 1, 4)
NETWORK = Network(
    "made",
    (Region("near"), Region("far")),
    (Site("s1", "near", (BIG,)), Site("s2", "far", (SMALL, NPU))),
    links=(Link(("near", "far"), 1e9),),
    tenants=(Tenant("t"), Tenant("little", quotas={"total": 2})),
    datasets=(Dataset("d", 1e13, frozenset({"s1"})),),
)
#: Fills the first pool for an hour, and runs nowhere else.
FILLER = JobKind("t", WORK, 4, frozenset({"cuda"}), memory_bytes=60e9)
PLAIN = JobKind("t", WORK, 2, frozenset({"cuda"}))


def tried(
    kinds: Sequence[JobKind],
    *,
    least: int | None = None,
    policy: str = "price",
    net: Network = NETWORK,
    go_on: Callable[[], bool] = lambda: True,
) -> Remedies:
    """Let jobs come, the filler for an hour first, and ask what would help the last one."""
    state = State(net, policy_named(policy), CHIPS, RateBook(CHIPS, relative_to="big"))
    rows = np.array([state.intern(kind) for kind in (FILLER, *kinds)], np.int32)
    state.add(rows, np.array([3600.0, 600.0, 900.0])[: len(rows)], np.zeros(len(rows)))
    for row in range(len(rows)):
        run_cycle(state, Observations(submitted=np.array([row])), 0.0)
    fork, _ = state.fork()
    asked = len(rows) - 1
    assert fork.snapshot.jobs["waiting"].tolist() == [False] + [True] * asked
    before = [array.tobytes() for array in fork.snapshot]
    futures = [as_estimated(fork, 0.0)]
    (told,) = forecast(fork, [asked], 0.0, futures)
    case = Case(fork, asked, 0.0, CHIPS, least or kinds[-1].count)
    found = cheapest_changes(case, told, futures, go_on)
    assert [array.tobytes() for array in fork.snapshot] == before
    return found


@pytest.mark.parametrize(
    ("kind", "words", "by"),
    [
        (replace(PLAIN, memory_bytes=60e9), "with at most 40 GB per accelerator", "user"),
        (replace(PLAIN, residency=frozenset({"near"})), "allowed in far as well", "user"),
        (replace(PLAIN, count=8), "as a gang of 4 instead of 8", "user"),
        (
            replace(PLAIN, tenant="little", count=3),
            "with a quota of 3 accelerators in all for little",
            "operator",
        ),
        (
            replace(PLAIN, sensitivity="secret"),
            "with s2/small trusted with secret work",
            "operator",
        ),
    ],
    ids=["memory", "region", "gang", "quota", "trust"],
)
def test_the_rule_that_stands_in_the_way_is_named(kind: JobKind, words: str, by: str) -> None:
    """What one rule keeps from free accelerators starts at once without that rule."""
    found = tried([kind], least=min(4, kind.count))
    change = found.changes[-1]
    assert (change.words, change.by) == (words, by)
    assert (change.forecast.start_s, NETWORK.pools[change.forecast.pool]) == (0.0, SMALL)
    assert found.untried == 0


def test_another_stack_is_named_when_nothing_cheaper_helps() -> None:
    """A job that only the free pool's stack keeps waiting is told to be built for it."""
    without_small = Site("s2", "far", (NPU,))
    found = tried([PLAIN], net=replace(NETWORK, sites=(NETWORK.sites[0], without_small)))
    (change,) = found.changes
    assert (change.words, change.by) == ("built for cann as well", "user")
    assert (change.forecast.start_s, change.forecast.pool) == (0.0, 1)


def test_a_copy_of_the_data_opens_pools_that_no_link_leads_to() -> None:
    """Where the data cannot go, a copy of it starts the job at once."""
    found = tried([replace(PLAIN, datasets=("d",))], net=replace(NETWORK, links=()))
    (change,) = found.changes
    assert (change.words, change.by) == ("with a copy of d in far", "operator")
    assert change.forecast.start_s == 0.0


def test_a_gang_is_not_made_smaller_than_its_user_allows() -> None:
    """Without a least size that fits, no smaller gang is offered."""
    assert tried([replace(PLAIN, count=8)], least=5).changes == ()


def test_a_dearer_change_is_offered_only_if_it_starts_the_job_sooner() -> None:
    """Changes are listed by cost, each sooner than those before it; then no more are tried."""
    found = tried([replace(PLAIN, sensitivity="secret")])
    assert [(one.words, one.forecast.start_s) for one in found.changes] == [
        ("with s1/big trusted with secret work", 3600.0),
        ("with s2/small trusted with secret work", 0.0),
    ]


def test_without_time_nothing_is_tried_and_it_is_said() -> None:
    """What there was no time for is counted, and nothing is made up about it."""
    found = tried([replace(PLAIN, sensitivity="secret")], go_on=lambda: False)
    assert found.changes == ()
    assert found.untried == len(NETWORK.pools)


@pytest.mark.parametrize("policy", ["fifo", "price"])
def test_priority_helps_only_where_the_policy_heeds_it(policy: str) -> None:
    """A higher priority is offered under `price`, where it counts, and not under `fifo`."""
    found = tried([FILLER, FILLER], policy=policy, net=replace(NETWORK, sites=NETWORK.sites[:1]))
    told = [(one.words, one.forecast.start_s) for one in found.changes]
    assert told == ([("with a priority higher by 1", 3600.0)] if policy == "price" else [])
