"""What holds of every decision, and of every policy that makes it."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import Plan
from twins.packing import can_sit

#: Called after each decision: (snapshot it was made on, now, decision, what it leaves free).
Watcher = Callable[[Snapshot, float, Decision, "Left"], None]


class Left:
    """What is free on a snapshot after a part of a plan, in Python lists."""

    def __init__(self, s: Snapshot, policy: Policy) -> None:
        """Start with what the snapshot says."""
        self.s, self.policy = s, policy
        self.placed: set[int] = set()
        self.free = [s.node_free[pool["first"] : pool["last"]].tolist() for pool in s.pools]
        self.used = Counter({key: int(n) for key, n in np.ndenumerate(s.used)})

    def may_ever(self, k: int, p: int) -> bool:
        """Whether the policy may put jobs of the kind on the pool at all."""
        s = self.s
        kind, pool = s.kinds[k], s.pools[p]
        at_home = not self.policy.home_only or kind["home"] == pool["site"]
        runs = s.rate[k, pool["market"]] > 0 and kind["count"] <= pool["capacity"]
        return bool(runs and at_home)

    def may_now(self, k: int, p: int) -> bool:
        """Whether the pool is open, and the tenant within its quotas with one more job."""
        t, n = int(self.s.kinds[k]["tenant"]), int(self.s.kinds[k]["count"])
        a, total = int(self.s.pools[p]["accelerator"]), self.s.limit.shape[1] - 1
        return bool(
            self.s.pools[p]["open"]
            and self.used[t, a] + n <= self.s.limit[t, a]
            and self.used[t, total] + n <= self.s.limit[t, total]
        )

    def fits(self, k: int, p: int) -> bool:
        """Whether a gang of the kind can be seated on the pool."""
        size, n = int(self.s.pools[p]["size"]), int(self.s.kinds[k]["count"])
        return can_sit(self.free[p], size, n)

    def could_start(self, row: int) -> bool:
        """Whether some pool could take the job now."""
        k = int(self.s.jobs[row]["kind"])
        return any(
            self.may_ever(k, p) and self.may_now(k, p) and self.fits(k, p)
            for p in range(len(self.s.pools))
        )

    def take(self, k: int, p: int, taken: dict[int, int]) -> None:
        """Reduce what is left."""
        for node, amount in taken.items():
            self.free[p][node] -= amount
        t, n = int(self.s.kinds[k]["tenant"]), int(self.s.kinds[k]["count"])
        self.used[t, int(self.s.pools[p]["accelerator"])] += n
        self.used[t, self.s.limit.shape[1] - 1] += n


def check_plan(s: Snapshot, policy: Policy, plan: Plan) -> Left:
    """Demand that every placement is allowed and possible; give what is left after them."""
    left = Left(s, policy)
    for placement in plan.placements[: int(plan.size[0])]:
        row, p = int(placement["row"]), int(placement["pool"])
        k, pool = int(s.jobs[row]["kind"]), s.pools[p]
        assert s.jobs[row]["waiting"]
        assert row not in left.placed
        left.placed.add(row)
        assert left.may_ever(k, p)
        assert left.may_now(k, p)
        assert left.fits(k, p)
        given = plan.seats[placement["first"] : placement["last"]]
        taken = {int(seat["node"] - pool["first"]): int(seat["amount"]) for seat in given}
        assert len(taken) == len(given)
        assert sum(taken.values()) == s.kinds[k]["count"]
        assert len(taken) == 1 or s.kinds[k]["count"] > pool["size"]
        assert all(0 < n <= left.free[p][node] for node, n in taken.items())
        left.take(k, p, taken)
    return left


def check_certificate(decision: Decision) -> None:
    """Demand that prices are no less than 0, and the bound no less than the value."""
    if decision.prices is None:
        assert math.isnan(decision.value)
        assert math.isnan(decision.bound)
    else:
        assert (decision.prices >= 0).all()
        assert np.isfinite(decision.prices).all()
        assert 0 <= decision.value <= decision.bound
        assert 0 <= decision.gap <= 1


def guarded(policy: Policy, also: Watcher | None = None) -> Policy:
    """Give the policy with every decision checked, and handed to `also` as well."""

    def decide(s: Snapshot, plan: Plan, now: float) -> Decision:
        before = [array.copy() for array in s]
        decision = policy.decide(s, plan, now)
        for name, old, new in zip(s._fields, before, s, strict=True):
            assert np.array_equal(old, new), f"the decision wrote to `{name}`"
        check_certificate(decision)
        left = check_plan(s, policy, decision.plan)
        waiting = np.flatnonzero(s.jobs["waiting"]).tolist()
        if not s.n_running[0] and not decision.plan.size[0]:
            could = Left(s, policy)
            assert not any(could.could_start(row) for row in waiting), "stands still"
        if also is not None:
            also(s, now, decision, left)
        return decision

    return replace(policy, decide=decide)
