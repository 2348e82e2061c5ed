"""Jobs of several sizes: planned on the smallest, then given more where nobody else wants it.

The gain per accelerator falls with the size, so a crowded network serves more with small gangs,
and an empty one with large ones. Step by step the job that gains most per accelerator takes its
next size: on the node it sits on, or on another that has room for all of it; where its gang is
larger than a node, on several.
"""

from typing import Final

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.offers import value
from tieline.scheduling.room import Plan, within_quota
from tieline.scheduling.seats import best_node

#: Accelerators of one node that a placement takes beyond its seats; placement -1 = given back.
EXTRA: Final = np.dtype([("placement", np.int64), ("node", np.int32), ("amount", np.int32)])


@compiled
def _wanted(s: Snapshot, plan: Plan) -> Array:
    """Tell for each market whether a job that is not planned could ever run there."""
    planned = np.zeros(len(s.kinds), np.int64)
    for i in range(plan.size[0]):
        planned[s.jobs[plan.placements[i].row].kind] += 1
    wanted = np.zeros(len(s.markets), np.bool_)
    for k in range(len(s.kinds)):
        if s.kinds[k].end - s.kinds[k].start > planned[k]:
            wanted |= s.rate[k] > 0.0
    return wanted


@compiled
def _main_node(plan: Plan, i: int) -> int:
    """Give the node on which the placement has most accelerators."""
    best = plan.placements[i].first
    for at in range(plan.placements[i].first, plan.placements[i].last):
        if plan.seats[at].amount > plan.seats[best].amount:
            best = at
    return plan.seats[best].node


@compiled
def _gain(s: Snapshot, used: Array, node_free: Array, placement: Array, node: int) -> float:
    """Give what the next size of a placement adds per accelerator; 0 where it does not fit."""
    row, k, p = placement.row, placement.kind, placement.pool
    larger, m = s.kinds[k].larger, s.pools[p].market
    if larger < 0 or s.rate[larger, m] <= s.rate[k, m]:
        return 0.0
    n, more = s.kinds[larger].count, s.kinds[larger].count - s.kinds[k].count
    first, last = s.pools[p].first, s.pools[p].last
    if n <= s.pools[p].size:
        fits = node_free[node] >= more or best_node(node_free, first, last, n) >= 0
    else:
        fits = n <= s.pools[p].capacity and _room(s, node_free, p) >= more
    if not fits or not _quota_for(s, used, k, larger, p):
        return 0.0
    return (value(s, row, larger, m) - value(s, row, k, m)) / more


@compiled
def _room(s: Snapshot, node_free: Array, p: int) -> int:
    total = 0
    for node in range(s.pools[p].first, s.pools[p].last):
        total += max(0, node_free[node])
    return total


@compiled
def _quota_for(s: Snapshot, used: Array, k: int, larger: int, p: int) -> bool:
    """Whether the tenant's quotas allow the larger size in place of the other."""
    t, a, total = s.kinds[k].tenant, s.pools[p].accelerator, s.limit.shape[1] - 1
    used[t, a] -= s.kinds[k].count
    used[t, total] -= s.kinds[k].count
    allowed = within_quota(s, used, larger, p)
    used[t, a] += s.kinds[k].count
    used[t, total] += s.kinds[k].count
    return allowed


@compiled
def _enlarge(
    s: Snapshot,
    node_free: Array,
    plan: Plan,
    i: int,
    node: int,
    extra: Array,
    at: int,
) -> tuple[int, int]:
    """Take the next size for a placement on `node`; give its node, and where `extra` ends.

    A gang of at most a node that finds no room beside it moves to another one.
    """
    k, p = plan.placements[i].kind, plan.placements[i].pool
    larger, first, last = s.kinds[k].larger, s.pools[p].first, s.pools[p].last
    n, left = s.kinds[larger].count, s.kinds[larger].count - s.kinds[k].count
    plan.placements[i].kind = larger
    if n <= s.pools[p].size and node_free[node] < left:
        node_free[node] += s.kinds[k].count
        plan.placements[i].last = plan.placements[i].first
        for other in range(at):
            if extra[other].placement == i:
                extra[other].placement = -1
        node, left = best_node(node_free, first, last, n), n
    main = node
    while left > 0:
        taken = min(left, max(0, node_free[node]))
        if taken > 0:
            extra[at].placement, extra[at].node, extra[at].amount = i, node, taken
            node_free[node] -= taken
            left -= taken
            at += 1
        node = first + np.argmax(node_free[first:last])
    return main, at


@compiled
def _use(s: Snapshot, used: Array, placement: Array, times: int) -> None:
    """Add what the placement takes to what its tenant uses, or with -1 take it off."""
    kind = s.kinds[placement.kind]
    used[kind.tenant, s.pools[placement.pool].accelerator] += times * kind.count
    used[kind.tenant, s.limit.shape[1] - 1] += times * kind.count


@compiled
def _count_planned(s: Snapshot, plan: Plan, node_free: Array, used: Array) -> None:
    """Take what is planned off what is free, and add it to what tenants use."""
    for p in range(len(s.pools)):
        if not s.pools[p].open:
            node_free[s.pools[p].first : s.pools[p].last] = 0
    for i in range(plan.size[0]):
        _use(s, used, plan.placements[i], 1)
        for at in range(plan.placements[i].first, plan.placements[i].last):
            node_free[plan.seats[at].node] -= plan.seats[at].amount


@compiled
def _write(plan: Plan, grown: Plan, extra: Array) -> None:
    """Write every placement with the seats it had and those it took."""
    end = 0
    for i in range(plan.size[0]):
        first = end
        for at in range(plan.placements[i].first, plan.placements[i].last):
            grown.seats[end] = plan.seats[at]
            end += 1
        for at in range(len(extra)):
            if extra[at].placement == i:
                grown.seats[end].node, grown.seats[end].amount = extra[at].node, extra[at].amount
                end += 1
        grown.placements[i] = plan.placements[i]
        grown.placements[i].first, grown.placements[i].last = first, end
    grown.size[0] = plan.size[0]


@compiled
def grow(s: Snapshot, plan: Plan, grown: Plan, extra: Array) -> None:
    """Write to `grown` the plan with larger gangs where nobody else could use the room.

    Parameters
    ----------
    plan
        The kinds of its placements are written.
    extra
        Dtype `EXTRA`, shape (2 x accelerators,): scratch.

    Notes
    -----
    O(K M) and, for placements that have a larger size, O(steps x placements x N).
    """
    node_free, used = s.node_free.copy(), s.used.copy()
    _count_planned(s, plan, node_free, used)
    wanted, n_extra = _wanted(s, plan), 0
    nodes = np.empty(plan.size[0], np.int64)
    for i in range(plan.size[0]):
        nodes[i] = _main_node(plan, i)
    while True:
        best, most = -1, 0.0
        for i in range(plan.size[0]):
            if s.kinds[plan.placements[i].kind].larger < 0:
                continue
            if not wanted[s.pools[plan.placements[i].pool].market]:
                gain = _gain(s, used, node_free, plan.placements[i], nodes[i])
                if gain > most:
                    best, most = i, gain
        if best < 0:
            break
        _use(s, used, plan.placements[best], -1)
        nodes[best], n_extra = _enlarge(s, node_free, plan, best, nodes[best], extra, n_extra)
        _use(s, used, plan.placements[best], 1)
    _write(plan, grown, extra[:n_extra])
