"""`backfill`: first come, first served, with EASY backfill on nodes.

The oldest job that must wait reserves nodes: those on which running jobs, by their
estimates, leave room for it first. So does a younger one that could use no reserved pool.
Later jobs may start in front of it if they end before the reservation begins, or use
accelerators of those nodes that the reservation leaves over, or other nodes.
"""

from math import nan

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.heap import drop_top, sift
from tieline.scheduling.in_turn import fastest_pool, oldest_first
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import (
    Plan,
    Room,
    eligible,
    has_room,
    open_room,
    run_time,
    take,
    update_most,
    within_quota,
)
from tieline.scheduling.seats import best_node, largest_free


@compiled
def _busy_nodes(s: Snapshot, plan: Plan, p: int, now: float) -> tuple[Array, Array, Array]:
    """Give end, node and amount of every block in use on the pool, planned ones included."""
    most = s.pools[p].capacity  # every block is at least one accelerator
    ends, nodes, amounts = np.empty(most), np.empty(most, np.int64), np.empty(most, np.int64)
    n = 0
    for i in range(s.n_running[0]):
        row = s.running[i]
        block = s.jobs[row].block if s.jobs[row].pool == p else -1
        while block >= 0:
            # A job past its estimate may end at any moment.
            ends[n] = max(now, s.jobs[row].ends)
            nodes[n], amounts[n] = s.blocks[block].node, s.blocks[block].amount
            n += 1
            block = s.blocks[block].next
    for i in range(plan.size[0]):
        if plan.placements[i].pool == p:
            for b in range(plan.placements[i].first, plan.placements[i].last):
                ends[n] = now + run_time(s, plan.placements[i].row, p)
                nodes[n], amounts[n] = plan.seats[b].node, plan.seats[b].amount
                n += 1
    return ends[:n], nodes[:n], amounts[:n]


@compiled
def _earliest(
    s: Snapshot, room: Room, plan: Plan, p: int, n: int, now: float
) -> tuple[float, Array]:
    """Give when `n` accelerators are free on the pool, and how many are free by node then."""
    ends, nodes, amounts = _busy_nodes(s, plan, p, now)
    first, last, size = s.pools[p].first, s.pools[p].last, s.pools[p].size
    free = room.node_free[first:last].copy()
    total = free.sum()
    order = np.argsort(ends, kind="mergesort")
    for i in order:
        node = nodes[i] - first
        free[node] += amounts[i]
        total += amounts[i]
        if (n <= size and free[node] >= n) or (n > size and total >= n):
            return ends[i], free
    return np.inf, free


@compiled
def _reserve(free: Array, n: int, size: int, spare: Array) -> None:
    """Take `n` off `free` as `seat` would; lower `spare` to what the touched nodes have left.

    Both are shape (nodes of the pool,); `spare` is what a job that outlasts the reservation
    may use on each node.
    """
    while n > 0:
        node = best_node(free, 0, len(free), min(n, size))
        if node < 0:
            node = int(np.argmax(free))
        taken = min(n, free[node])
        free[node] -= taken
        n -= taken
        spare[node] = min(spare[node], free[node])


@compiled
def _may_reserve(s: Snapshot, k: int, begins: Array) -> bool:
    """Whether no pool that the kind could use is reserved yet."""
    for p in range(len(s.pools)):
        if begins[p] < np.inf and eligible(s, k, p, False):
            return False
    return True


@compiled
def _reserve_best(
    s: Snapshot, room: Room, late: Room, plan: Plan, row: int, begins: Array, now: float
) -> None:
    """Reserve for the waiting job the pool on which it would end first.

    `begins` is shape (P,): written; inf where nothing is reserved. `late` is the room for
    jobs that outlast the reservation: reduced.
    """
    k = s.jobs[row].kind
    n, best, soonest = s.kinds[k].count, -1, np.inf
    for p in range(len(s.pools)):
        if s.pools[p].open and eligible(s, k, p, False) and within_quota(s, room.used, k, p):
            begin, _free = _earliest(s, room, plan, p, n, now)
            end = begin + run_time(s, row, p)
            if end < soonest:
                best, soonest = p, end
    if best < 0:
        return
    begins[best], free = _earliest(s, room, plan, best, n, now)
    first, last = s.pools[best].first, s.pools[best].last
    spare = late.node_free[first:last]
    _reserve(free, n, s.pools[best].size, spare)
    late.free[best] = spare.sum()
    late.largest[best] = largest_free(late.node_free, first, last)
    update_most(s, late, s.pools[best].market)


@compiled
def _place(
    s: Snapshot, room: Room, late: Room, plan: Plan, row: int, p: int, ends_late: bool
) -> None:
    """Seat the job in the room its end allows, and keep both rooms in step."""
    first, last = s.pools[p].first, s.pools[p].last
    if ends_late:
        take(s, late, plan, row, p)
        placed = plan.placements[plan.size[0] - 1]
        for b in range(placed.first, placed.last):
            room.node_free[plan.seats[b].node] -= plan.seats[b].amount
    else:
        take(s, room, plan, row, p)
        for i in range(first, last):
            late.node_free[i] = min(late.node_free[i], room.node_free[i])
    for r in (room, late):
        r.free[p] = r.node_free[first:last].sum()
        r.largest[p] = largest_free(r.node_free, first, last)
        update_most(s, r, s.pools[p].market)
    k = s.jobs[row].kind
    a, total = s.pools[p].accelerator, s.limit.shape[1] - 1
    other = room if ends_late else late
    other.used[s.kinds[k].tenant, a] += s.kinds[k].count
    other.used[s.kinds[k].tenant, total] += s.kinds[k].count


@compiled
def _plan_backfill(s: Snapshot, plan: Plan, now: float) -> None:
    room = open_room(s)
    late = open_room(s)
    shut = np.zeros(len(s.pools), np.bool_)
    begins = np.full(len(s.pools), np.inf)
    cursor = s.kinds["start"].copy()
    keys = np.empty(len(s.kinds), np.float64)
    kinds = np.empty(len(s.kinds), np.int64)
    size = oldest_first(s, keys, kinds)
    while size > 0:
        k = kinds[0]
        row = s.queue[cursor[k]]
        p = fastest_pool(s, late, k, False, shut)
        ends_late = p >= 0
        if not ends_late:
            for q in range(len(s.pools)):
                shut[q] = not eligible(s, k, q, False) or now + run_time(s, row, q) > begins[q]
            p = fastest_pool(s, room, k, False, shut)
            shut[:] = False
        if p >= 0:
            _place(s, room, late, plan, row, p, ends_late)
        elif _may_reserve(s, k, begins):
            _reserve_best(s, room, late, plan, row, begins, now)
        if p < 0 and not _may_fit(s, room, k):
            size = drop_top(keys, kinds, size)
            continue
        cursor[k] += 1
        if cursor[k] < s.kinds[k].end:
            keys[0] = s.queue[cursor[k]]
            sift(keys, kinds, size)
        else:
            size = drop_top(keys, kinds, size)


@compiled
def _may_fit(s: Snapshot, room: Room, k: int) -> bool:
    """Whether some pool has room for the kind, reservations aside."""
    for p in range(len(s.pools)):
        if has_room(s, room, k, p) and eligible(s, k, p, False):
            return True
    return False


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    _plan_backfill(snapshot, plan, now)
    return Decision(plan, nan, nan, None)


BACKFILL = Policy(
    name="backfill",
    summary="first come, first served, with reservations and EASY backfill",
    order="submission",
    decide=_decide,
)
