"""The contract of a policy: one suite over every policy of the registry."""

from dataclasses import replace

import numpy as np
import pytest

from tieline.control.cycle import Observations, run_cycle
from tieline.control.state import State
from tieline.model.errors import InputError
from tieline.model.network import Tenant
from tieline.scheduling.decide import decide
from tieline.scheduling.policy import Policy
from tieline.scheduling.registry import DEFAULT_POLICY, POLICIES, policy_named
from twins.cases import Case, Job, kind, network
from twins.decisions import guarded
from twins.invariants import check_state

TENANTS = [Tenant("t0", home="s0"), Tenant("t1", home="s1", quotas={"total": 4})]
CASE = Case(
    network([(0, "a", 2, 4), (1, "b", 1, 4)], TENANTS),
    (kind(0, 1), kind(1, 6), kind(2, 2, "t1"), kind(3, 99), kind(4, 1)),
    ({"a": 1.0, "b": 0.5}, {"a": 1.0}, {"a": 1.0, "b": 1.0}, {"a": 1.0}, {"c": 1.0}),
    tuple(Job(row % 5, float(row // 3), 2.0 + row % 7) for row in range(40)),
)


@pytest.fixture(params=POLICIES.values(), ids=POLICIES.keys())
def policy(request: pytest.FixtureRequest) -> Policy:
    """Give each policy in turn."""
    found = request.param
    assert isinstance(found, Policy)
    return found


def waiting_state(policy: Policy, rows: range = range(len(CASE.jobs))) -> State:
    """Give a state in which these jobs wait."""
    state = CASE.state(policy)
    state.lay_queue_anew(np.array([*rows]))
    return state


def test_it_is_known_by_its_name(policy: Policy) -> None:
    """The registry finds it, and its one line of summary fits a table."""
    assert policy_named(policy.name) is policy
    assert policy.name == policy.name.lower().strip()
    assert 10 <= len(policy.summary) <= 80
    assert "\n" not in policy.summary


def test_an_empty_queue_gives_an_empty_plan(policy: Policy) -> None:
    """Nothing waits: nothing is placed, whatever the scratch plan held before."""
    state = CASE.state(policy)
    state.plan.size[0] = 5
    decision = decide(state.snapshot, policy, state.plan, 0.0)
    assert decision.plan is state.plan
    assert decision.plan.size[0] == 0


def test_a_state_without_kinds_gives_an_empty_plan(policy: Policy) -> None:
    """Nothing was ever submitted: the policy decides all the same."""
    state = replace(CASE, kinds=(), speeds=(), jobs=()).state(policy)
    assert decide(state.snapshot, policy, state.plan, 0.0).plan.size[0] == 0


def test_closed_pools_give_an_empty_plan(policy: Policy) -> None:
    """Where no pool is open, nothing is placed."""
    state = waiting_state(policy)
    state.snapshot.pools["open"] = False
    assert decide(state.snapshot, policy, state.plan, 0.0).plan.size[0] == 0


def test_a_full_network_gives_an_empty_plan(policy: Policy) -> None:
    """Where nothing is free, nothing is placed."""
    state = waiting_state(policy)
    state.snapshot.node_free[:] = 0
    state.snapshot.pools["free"] = 0
    assert decide(state.snapshot, policy, state.plan, 0.0).plan.size[0] == 0


def test_a_pool_with_less_than_nothing_free_gets_nothing(policy: Policy) -> None:
    """After a pool has shrunk more may be held than there is: it waits until enough has ended."""
    state = CASE.state(policy)
    held = np.array([0, 5, 10, 15, 20, 25, 30, 35])
    state.restore(held, np.full(8, 1), np.zeros(8))  # eight on the four of pool 1
    others = np.setdiff1d(np.arange(40), held)
    actions, _, _ = run_cycle(state, Observations(submitted=others), 1.0)
    assert 1 not in actions.pools
    assert 0 in actions.pools
    check_state(state, oversubscribed=True)


def test_a_decision_keeps_every_rule(policy: Policy) -> None:
    """Capacity, eligibility, quotas, one placement per job; the snapshot is only read."""
    state = waiting_state(policy)
    decision = decide(state.snapshot, guarded(policy), state.plan, 0.0)
    assert decision.plan.size[0] > 0


def test_the_same_snapshot_gives_the_same_decision(policy: Policy) -> None:
    """Deciding again, and deciding on an equal state, gives equal placements and prices."""
    state, twin = waiting_state(policy), waiting_state(policy)
    found = []
    for one in (state, state, twin):
        decision = decide(one.snapshot, policy, one.plan, 3.0)
        plan = decision.plan.placements[: decision.plan.size[0]]
        seats = decision.plan.seats[: plan["last"][-1]]
        prices = [] if decision.prices is None else decision.prices.tolist()
        found.append((plan.tolist(), seats.tolist(), prices, str(decision.value)))
    assert found[0] == found[1] == found[2]


def test_every_kind_of_certificate_is_whole(policy: Policy) -> None:
    """A policy gives value, bound and prices together, or none of them."""
    state = waiting_state(policy)
    decision = decide(state.snapshot, policy, state.plan, 0.0)
    absent = {np.isnan(decision.value), np.isnan(decision.bound), decision.prices is None}
    assert len(absent) == 1
    if decision.prices is not None:
        assert decision.prices.shape == (len(state.snapshot.pools),)
        assert 0 < decision.value <= decision.bound


def test_a_gang_that_needs_the_whole_pool_starts_when_the_rest_has_gone(policy: Policy) -> None:
    """When arrivals stop, the largest gang runs too; what can never run never does."""
    schedule = CASE.run(policy, CASE.state(guarded(policy)))
    ran = [CASE.jobs[row].kind for row in np.flatnonzero(schedule.pool >= 0)]
    assert {k: ran.count(k) for k in range(5)} == {0: 8, 1: 8, 2: 8, 3: 0, 4: 0}


def test_tenants_stay_at_home_where_the_policy_says_so(policy: Policy) -> None:
    """`home_only` is kept by the decisions, and only by policies that declare it."""
    only_away = Job(len(CASE.kinds), 20.0, 3.0)
    case = replace(
        CASE,
        kinds=(*CASE.kinds, kind(5, 1, "t1")),
        speeds=(*CASE.speeds, {"a": 1.0}),
        jobs=(*CASE.jobs, only_away),
    )
    schedule = case.run(policy)
    away = [
        row
        for row in np.flatnonzero(schedule.pool >= 0)
        if case.network.pools[schedule.pool[row]].site != case.home_of(case.jobs[row].kind)
    ]
    assert bool(away) != policy.home_only


def test_the_order_of_waiting_is_the_one_declared(policy: Policy) -> None:
    """Jobs of one kind start in the policy's order: of work, or of submission."""
    one = Case(
        network([(0, "a", 1, 1)]),
        (kind(0, 1),),
        ({"a": 1.0},),
        tuple(Job(0, 0.0, run) for run in (5.0, 3.0, 9.0, 3.0, 1.0)),
    )
    order = np.argsort(one.run(policy).start_s).tolist()
    assert order == ([4, 1, 3, 0, 2] if policy.order == "work" else [0, 1, 2, 3, 4])


def test_the_default_is_a_policy() -> None:
    """What a network without a policy gets is in the registry."""
    assert DEFAULT_POLICY in POLICIES


def test_an_unknown_name_lists_the_known_ones() -> None:
    """The message for a wrong name says which there are."""
    with pytest.raises(InputError, match=r"unknown policy 'best'; known: isolated, fifo, .*price"):
        policy_named("best")
