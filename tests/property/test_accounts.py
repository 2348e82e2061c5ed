"""Accounts of service, against plain sums over what ran."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.state import State
from tieline.scheduling.accounts import clock, equal_split, served_by_tenant
from tieline.scheduling.policies.backfill import BACKFILL
from tieline.scheduling.policies.shortest import SHORTEST
from tieline.scheduling.policy import Decision
from twins.cases import Case, cases

#: Any order of jobs will do; what is held to the rule is the accounts.
ACCOUNTED = st.sampled_from([replace(policy, accounts=True) for policy in (BACKFILL, SHORTEST)])


class Plain:
    """Accounts worked out in plain Python, from what a state shows after each cycle."""

    def __init__(self, case: Case, state: State) -> None:
        """Start with nothing."""
        self.case, self.state = case, state
        self.now = 0.0
        self.stayed: set[str] = set()
        self.served = Counter[str]()
        self.clock = np.zeros(len(case.kinds))
        self.level, self.pace = Counter[str](), np.zeros(len(case.kinds))
        self.due: dict[int, float] = {}

    def note(self, now: float, _decision: Decision) -> None:
        """Compare after a cycle, then take down what holds from now on."""
        for tenant, level in self.level.items():
            self.served[tenant] += level * (now - self.now)
        self.clock += self.pace * (now - self.now)
        s = self.state.snapshot
        here = [row for row in range(self.state.n_jobs) if self._is_here(row)]
        present = {self._kind(row).tenant for row in here}
        self._level_newcomers(present)
        self.now, self.stayed, self.level = now, present, Counter()
        for row in here:
            self.due.setdefault(row, self.clock[self.case.jobs[row].kind] + s.jobs[row]["work"])
            if s.jobs[row]["pool"] >= 0:
                speeds = self._speeds(self.case.jobs[row].kind)
                rate = speeds[int(s.jobs[row]["pool"])] / max(speeds)
                self.level[self._kind(row).tenant] += self._kind(row).count * rate
        self._set_pace(here)
        self._compare(present)

    def _compare(self, present: set[str]) -> None:
        s, tenants = self.state.snapshot, [kind.tenant for kind in self.state.kinds]
        if not len(s.kinds):
            return
        served = served_by_tenant(s, self.now)
        for k, tenant in enumerate(tenants):
            if tenant in present:
                assert served[s.kinds[k]["tenant"]] == pytest.approx(self.served[tenant])
            assert clock(s, k, self.now) == pytest.approx(self.clock[k])
        for row, due in self.due.items():
            assert s.jobs[row]["due"] == pytest.approx(due)

    def _level_newcomers(self, present: set[str]) -> None:
        stayed = present & self.stayed
        least = min((self.served[tenant] for tenant in stayed), default=0.0)
        for tenant in present - self.stayed:
            self.served[tenant] = max(self.served[tenant], least)

    def _set_pace(self, here: list[int]) -> None:
        capacity = self.case.network.capacity
        sizes = [self._kind(row).count for row in here]
        low, high = 0.0, float(max([capacity, *sizes]))
        for _ in range(100):
            level = (low + high) / 2
            fits = sum(min(level, size) for size in sizes) <= capacity
            low, high = (level, high) if fits else (low, level)
        for k, one in enumerate(self.case.kinds):
            rates = self._speeds(k)
            pools = [(p.capacity, r) for p, r in zip(self.case.network.pools, rates, strict=True)]
            useful = sum(n for n, r in pools if r)
            mean = sum(n * r for n, r in pools) / max(1, useful)
            self.pace[k] = mean * min(1.0, low / one.count)

    def _kind(self, row: int):  # noqa: ANN202 - one of the case's kinds
        return self.case.kinds[self.case.jobs[row].kind]

    def _speeds(self, k: int) -> list[float]:
        """Give the rate on each pool that can ever run the kind; 0 elsewhere."""
        return [
            self.case.speeds[k].get(pool.accelerator, 0.0) if self.case.may_use(k, pool) else 0.0
            for pool in self.case.network.pools
        ]

    def _is_here(self, row: int) -> bool:
        job = self.state.snapshot.jobs[row]
        return bool(job["waiting"] or job["pool"] >= 0)


@given(case=cases(exact=False), policy=ACCOUNTED)
def test_accounts_are_plain_sums(case: Case, policy) -> None:  # noqa: ANN001 - a policy
    """Served, clocks and dues are the sums over time of what ran and what a split would do."""
    state = case.state(policy)
    case.run(policy, state, watch=Plain(case, state).note)


@given(case=cases(), policy=ACCOUNTED)
def test_the_split_uses_all_there_is(case: Case, policy) -> None:  # noqa: ANN001 - a policy
    """Either every active job has its whole gang, or the split hands out the capacity."""
    state = case.state(policy)

    def check(_now: float, _decision: Decision) -> None:
        kinds = state.snapshot.kinds
        if not len(kinds):
            return
        level, count, active = equal_split(state.snapshot), kinds["count"], kinds["active"]
        if level == np.inf:
            assert count @ active <= case.network.capacity
        else:
            given_out = np.minimum(level, count) @ active
            assert given_out == pytest.approx(case.network.capacity)

    case.run(policy, state, watch=check)


@given(case=cases())
def test_a_policy_without_accounts_has_none(case: Case) -> None:
    """Nobody pays for accounts that no policy reads."""
    state = case.state(BACKFILL)
    case.run(BACKFILL, state)
    for name in ("served", "level", "clock", "clock_rate", "since", "active"):
        assert not state.snapshot.kinds[name].any()
    assert (state.snapshot.jobs["due"] == -1).all()
