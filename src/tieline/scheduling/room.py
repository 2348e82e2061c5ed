"""What is still free while a decision is being made: a scratch copy, and the plan so far."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.seats import largest_free, seat

#: Least work that is told apart [s].
_LEAST_WORK_S: Final = 1e-9


class Room(NamedTuple):
    """Free accelerators, reduced as placements are planned."""

    free: NDArray[np.int32]
    """Axis P."""
    largest: NDArray[np.int32]
    """Axis P: the most free accelerators on any one node."""
    most: NDArray[np.int32]
    """Axis M: the most free accelerators in any one pool."""
    node_free: NDArray[np.int32]
    """Axis N."""
    used: NDArray[np.int64]
    """Axes T, A + 1."""


PLACEMENT: Final = np.dtype(
    [
        ("row", np.int32),
        ("kind", np.int32),  # of the job from its start on: that of its size
        ("pool", np.int32),
        ("first", np.int64),  # it takes blocks first..last-1 of the plan
        ("last", np.int64),
    ]
)

#: Accelerators taken from one node.
SEAT: Final = np.dtype([("node", np.int32), ("amount", np.int32)])


class Plan(NamedTuple):
    """Placements in the order decided."""

    placements: NDArray[np.void]
    """Dtype `PLACEMENT`; the first `size` count."""
    seats: NDArray[np.void]
    """Dtype `SEAT`."""
    size: NDArray[np.int64]
    """One element: placements planned."""


def new_plan(accelerators: int) -> Plan:
    """Give an empty plan with room for as many placements as there are accelerators."""
    return Plan(
        placements=np.empty(accelerators, PLACEMENT),
        seats=np.empty(accelerators, SEAT),
        size=np.zeros(1, np.int64),
    )


@compiled
def open_room(s: Snapshot) -> Room:
    """Give what is free at the start of a decision; closed pools have nothing."""
    pools = s.pools
    free = np.zeros(len(pools), np.int32)
    largest = np.zeros(len(pools), np.int32)
    for p in range(len(pools)):
        if pools[p].open and pools[p].free > 0:
            free[p] = pools[p].free
            largest[p] = largest_free(s.node_free, pools[p].first, pools[p].last)
    most = np.zeros(len(s.markets), np.int32)
    for p in range(len(pools)):
        most[pools[p].market] = max(most[pools[p].market], free[p])
    return Room(free, largest, most, s.node_free.copy(), s.used.copy())


@compiled
def eligible(s: Snapshot, k: int, p: int, home_only: bool) -> bool:
    """Whether jobs of kind `k` may ever use pool `p` under the policy."""
    if s.rate[k, s.pools[p].market] <= 0.0 or s.kinds[k].count > s.pools[p].capacity:
        return False
    return not home_only or s.pools[p].site == s.kinds[k].home


@compiled
def run_time(s: Snapshot, row: int, p: int) -> float:
    """Give the estimated time from the start of the job on the pool to its end [s]."""
    k, m = s.jobs[row].kind, s.pools[p].market
    return s.stage[k, m] + s.jobs[row].work / s.rate[k, m]


@compiled
def ends_in(s: Snapshot, row: int, p: int) -> float:
    """Give the time to the end of the job on the pool, costs counted as time [s].

    Jobs without work are told apart by rate as well.
    """
    k, m = s.jobs[row].kind, s.pools[p].market
    return s.charge[k, m] + max(_LEAST_WORK_S, s.jobs[row].work) / s.rate[k, m]


@compiled
def within_quota(s: Snapshot, used: Array, k: int, p: int) -> bool:
    """Whether one more job of kind `k` on pool `p` keeps the tenant within its quotas."""
    t, n = s.kinds[k].tenant, s.kinds[k].count
    a, total = s.pools[p].accelerator, s.limit.shape[1] - 1
    return used[t, a] + n <= s.limit[t, a] and used[t, total] + n <= s.limit[t, total]


@compiled
def keep_quota(s: Snapshot, used: Array, k: int, p: int) -> None:
    """Count the quotas that hold kind `k` back as used up.

    What is left of them then waits for that job, and no later one of its tenant takes it.
    """
    t, n = s.kinds[k].tenant, s.kinds[k].count
    a, total = s.pools[p].accelerator, s.limit.shape[1] - 1
    if used[t, a] + n > s.limit[t, a]:
        used[t, a] = max(used[t, a], s.limit[t, a])
    if used[t, total] + n > s.limit[t, total]:
        used[t, total] = max(used[t, total], s.limit[t, total])


@compiled
def has_room(s: Snapshot, room: Room, k: int, p: int) -> bool:
    """Whether a gang of kind `k` can be seated in pool `p` now."""
    n = s.kinds[k].count
    return room.free[p] >= n and (n > s.pools[p].size or room.largest[p] >= n)


@compiled
def take(s: Snapshot, room: Room, plan: Plan, row: int, p: int) -> None:
    """Plan a placement: seat the job, reduce the room, count it against the tenant."""
    k, pool = s.jobs[row].kind, s.pools[p]
    n, t = s.kinds[k].count, s.kinds[k].tenant
    i = plan.size[0]
    at = plan.placements[i - 1].last if i > 0 else 0
    after = seat(room.node_free, pool.first, pool.last, pool.size, n, plan.seats, at)
    plan.placements[i].row = row
    plan.placements[i].kind = k
    plan.placements[i].pool = p
    plan.placements[i].first = at
    plan.placements[i].last = after
    plan.size[0] = i + 1
    # The maxima change only when what was taken from held them.
    was_most = room.free[p] == room.most[pool.market]
    room.free[p] -= n
    if n > pool.size or room.node_free[plan.seats[at].node] + n == room.largest[p]:
        room.largest[p] = largest_free(room.node_free, pool.first, pool.last)
    room.used[t, pool.accelerator] += n
    room.used[t, s.limit.shape[1] - 1] += n
    if was_most:
        update_most(s, room, pool.market)


@compiled
def update_most(s: Snapshot, room: Room, m: int) -> None:
    """Bring `most` of a market up to date with `free`."""
    most = 0
    for i in range(s.markets[m].first, s.markets[m].last):
        most = max(most, room.free[s.market_pools[i]])
    room.most[m] = most
