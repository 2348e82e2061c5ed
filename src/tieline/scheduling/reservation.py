"""Reservations: nodes kept for jobs that must wait, and how others start in front of them.

EASY backfill on nodes. A job that must wait reserves the nodes on which running jobs, by their
estimates, leave room for it first. A job after it may start in front of it if it ends before
the reservation begins, or uses accelerators of those nodes that the reservation leaves over, or
other nodes. The same holds for the quotas of the tenant that has the reservation.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.in_turn import fastest_pool
from tieline.scheduling.room import (
    SEAT,
    Plan,
    Room,
    eligible,
    ends_in,
    keep_quota,
    open_room,
    run_time,
    take,
    update_most,
    within_quota,
)
from tieline.scheduling.seats import largest_free, seat


class Reservations(NamedTuple):
    """What waiting jobs have been promised, and the room that leaves for others."""

    room: Room
    """All that is free now."""
    late: Room
    """Room for jobs that outlast the reservations."""
    begins: NDArray[np.float64]
    """Axis P: when the reservation on the pool begins [s]; inf without one."""
    due: NDArray[np.float64]
    """Axis T: when the tenant's first reservation begins [s]; inf without one."""
    shut: NDArray[np.bool_]
    """Axis P: scratch."""
    nowhere: NDArray[np.bool_]
    """Axis P: no pool."""


@compiled
def no_reservations(s: Snapshot) -> Reservations:
    """Give what is free at the start of a decision, with nothing promised yet."""
    return Reservations(
        room=open_room(s),
        late=open_room(s),
        begins=np.full(len(s.pools), np.inf),
        due=np.full(len(s.used), np.inf),
        shut=np.zeros(len(s.pools), np.bool_),
        nowhere=np.zeros(len(s.pools), np.bool_),
    )


@compiled
def _busy_nodes(s: Snapshot, plan: Plan, p: int, now: float) -> tuple[Array, Array, Array]:
    """Give end, node and amount of every block in use on the pool, planned ones included."""
    most = s.pools[p].capacity  # a block is at least one accelerator
    ends, nodes, amounts = np.empty(most), np.empty(most, np.int64), np.empty(most, np.int64)
    n = 0
    for i in range(s.n_running[0]):
        row = s.running[i]
        if s.jobs[row].pool != p:
            continue
        b = s.jobs[row].block
        while b >= 0:
            # A job past its estimate may end at any moment.
            ends[n] = max(now, s.jobs[row].ends)
            nodes[n], amounts[n] = s.blocks[b].node, s.blocks[b].amount
            n += 1
            b = s.blocks[b].next
    for i in range(plan.size[0]):
        if plan.placements[i].pool != p:
            continue
        row = plan.placements[i].row
        for b in range(plan.placements[i].first, plan.placements[i].last):
            ends[n] = now + run_time(s, row, p)
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
def _set_aside(free: Array, n: int, size: int, spare: Array) -> None:
    """Seat the reserving job in `free`; lower `spare` to what its nodes have left.

    Both are shape (nodes of the pool,): what is free when the reservation begins, and what
    a job that outlasts it may use.
    """
    seats = np.empty(len(free), SEAT)
    for i in range(seat(free, 0, len(free), size, n, seats, 0)):
        node = seats[i].node
        spare[node] = min(spare[node], free[node])


@compiled
def may_reserve(s: Snapshot, held: Reservations, k: int) -> bool:
    """Whether no pool that the kind could use is reserved yet."""
    for p in range(len(s.pools)):
        if held.begins[p] < np.inf and eligible(s, k, p, False):
            return False
    return True


@compiled
def _count_free(s: Snapshot, held: Reservations, p: int) -> None:
    """Bring the counts of `late` in step with its nodes."""
    late, first, last = held.late, s.pools[p].first, s.pools[p].last
    late.free[p] = min(held.room.free[p], late.node_free[first:last].sum())
    late.largest[p] = largest_free(late.node_free, first, last)
    update_most(s, late, s.pools[p].market)


@compiled
def _ends_first(
    s: Snapshot, room: Room, plan: Plan, row: int, now: float
) -> tuple[int, float, Array]:
    """Give the pool on which the waiting job would end first, from when, and what is free then.

    The pool is -1 where the tenant's quotas keep the job off every open one.
    """
    k = s.jobs[row].kind
    best, begins, soonest, free = -1, np.inf, np.inf, np.zeros(0, np.int32)
    for p in range(len(s.pools)):
        if s.pools[p].open and eligible(s, k, p, False) and within_quota(s, room.used, k, p):
            begin, then_free = _earliest(s, room, plan, p, s.kinds[k].count, now)
            end = begin + run_time(s, row, p)
            if end < soonest:
                best, begins, soonest, free = p, begin, end, then_free
    return best, begins, free


@compiled
def reserve(s: Snapshot, held: Reservations, plan: Plan, row: int, now: float) -> None:
    """Reserve nodes and quota for the waiting job.

    Where only quotas hold it back, what is left of them waits for it instead.
    """
    k, room, late = s.jobs[row].kind, held.room, held.late
    n, t = s.kinds[k].count, s.kinds[k].tenant
    p, begins, free = _ends_first(s, room, plan, row, now)
    if p < 0:
        for q in range(len(s.pools)):
            if s.pools[q].open and eligible(s, k, q, False):
                keep_quota(s, room.used, k, q)
                keep_quota(s, late.used, k, q)
        return
    held.begins[p] = begins
    held.due[t] = min(held.due[t], begins)
    first, last = s.pools[p].first, s.pools[p].last
    spare = late.node_free[first:last]
    _set_aside(free, n, s.pools[p].size, spare)
    _count_free(s, held, p)
    late.used[t, s.pools[p].accelerator] += n
    late.used[t, s.limit.shape[1] - 1] += n


@compiled
def shut_too_late(s: Snapshot, held: Reservations, row: int, now: float) -> None:
    """Mark the pools on which the job would outlast a reservation that it would disturb."""
    k = s.jobs[row].kind
    for p in range(len(s.pools)):
        end = now + run_time(s, row, p)
        held.shut[p] = end > held.begins[p] or (
            end > held.due[s.kinds[k].tenant] and not within_quota(s, held.late.used, k, p)
        )


@compiled
def place(s: Snapshot, held: Reservations, plan: Plan, row: int, p: int, outlasts: bool) -> None:
    """Seat the job in the room its end allows, and keep both rooms in step."""
    room, late = held.room, held.late
    k, first, last = s.jobs[row].kind, s.pools[p].first, s.pools[p].last
    if outlasts:
        take(s, late, plan, row, p)
        placed = plan.placements[plan.size[0] - 1]
        for b in range(placed.first, placed.last):
            room.node_free[plan.seats[b].node] -= plan.seats[b].amount
        room.free[p] -= s.kinds[k].count
        room.largest[p] = largest_free(room.node_free, first, last)
        update_most(s, room, s.pools[p].market)
    else:
        take(s, room, plan, row, p)
        for i in range(first, last):
            late.node_free[i] = min(late.node_free[i], room.node_free[i])
        _count_free(s, held, p)
    other = room if outlasts else late
    a, total = s.pools[p].accelerator, s.limit.shape[1] - 1
    other.used[s.kinds[k].tenant, a] += s.kinds[k].count
    other.used[s.kinds[k].tenant, total] += s.kinds[k].count


@compiled
def serve(s: Snapshot, held: Reservations, plan: Plan, row: int, now: float) -> bool:
    """Start the job where it ends first, or reserve for it; tell if its kind may go on.

    Parameters
    ----------
    held
        Written: the room that is left, and the reservation made.

    Returns
    -------
    bool
        False when no job of the kind can start any more in this decision. A job reserves only
        where no pool that it could use is reserved yet.

    Notes
    -----
    O(P), and O(P x running jobs) for a reservation.
    """
    k = s.jobs[row].kind
    p = fastest_pool(s, held.late, row, False, held.nowhere)
    shut_too_late(s, held, row, now)
    early = fastest_pool(s, held.room, row, False, held.shut)
    outlasts = p >= 0 and (early < 0 or ends_in(s, row, p) <= ends_in(s, row, early))
    if outlasts or early >= 0:
        place(s, held, plan, row, p if outlasts else early, outlasts)
        return True
    if may_reserve(s, held, k):
        reserve(s, held, plan, row, now)
    return fastest_pool(s, held.room, row, False, held.nowhere) >= 0
