"""First come, first served: the walk over waiting jobs in order of submission.

`fifo` and `isolated` are this alone; `backfill` takes the same walk and looks further.
"""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.room import (
    Plan,
    Room,
    eligible,
    ends_in,
    has_room,
    keep_quota,
    open_room,
    take,
    within_quota,
)


@compiled
def fastest_pool(s: Snapshot, room: Room, row: int, home_only: bool, shut: Array) -> int:
    """Give the pool on which the job would end first if it started now, or -1.

    Among those with room and not shut, costs counted as time. Equal ends: the pool with the
    fewest free accelerators, then the lowest row.
    """
    k = s.jobs[row].kind
    best, soonest = -1, np.inf
    for p in range(len(s.pools)):
        if shut[p] or not has_room(s, room, k, p) or not eligible(s, k, p, home_only):
            continue
        if not within_quota(s, room.used, k, p):
            continue
        end = ends_in(s, row, p)
        if end < soonest or (end == soonest and room.free[p] < room.free[best]):
            best, soonest = p, end
    return best


@compiled
def oldest_first(s: Snapshot, keys: Array, kinds: Array) -> int:
    """Fill a heap with every kind that waits, by its oldest job; give its size."""
    size = 0
    for k in range(len(s.kinds)):
        if s.kinds[k].start < s.kinds[k].end:
            size = push(keys, kinds, size, s.queue[s.kinds[k].start], k)
    return size


@compiled
def next_oldest(s: Snapshot, keys: Array, kinds: Array, size: int, cursor: Array) -> int:
    """Move the top kind of the heap on to its next job; give the new size."""
    k = kinds[0]
    cursor[k] += 1
    if cursor[k] == s.kinds[k].end:
        return drop_top(keys, kinds, size)
    keys[0] = s.queue[cursor[k]]
    sift(keys, kinds, size)
    return size


@compiled
def _hold_back(s: Snapshot, room: Room, k: int, home_only: bool, shut: Array) -> int:
    """Shut every pool that kind `k` waits for; give their number."""
    n_shut = 0
    for p in range(len(s.pools)):
        if shut[p] or not eligible(s, k, p, home_only):
            continue
        if within_quota(s, room.used, k, p):
            shut[p] = True
            n_shut += 1
        else:
            keep_quota(s, room.used, k, p)
    return n_shut


@compiled
def plan_in_turn(s: Snapshot, plan: Plan, home_only: bool) -> None:
    """Plan in order of submission; a job that must wait shuts every pool it could use.

    A job that only its tenant's quota keeps off a pool shuts nothing for other tenants: it
    could not use the pool. Within its tenant it does: what is left of that quota waits for it.

    Notes
    -----
    O(K + (placed + blocked kinds) (P + log K)): once a job waits, so do all of its kind.
    """
    room = open_room(s)
    shut = room.free == 0
    n_open = len(s.pools) - shut.sum()
    cursor = s.kinds["start"].copy()
    keys = np.empty(len(s.kinds), np.float64)
    kinds = np.empty(len(s.kinds), np.int64)
    size = oldest_first(s, keys, kinds)
    while size > 0 and n_open > 0:
        k = kinds[0]
        p = fastest_pool(s, room, s.queue[cursor[k]], home_only, shut)
        if p < 0:
            n_open -= _hold_back(s, room, k, home_only, shut)
            size = drop_top(keys, kinds, size)
        else:
            take(s, room, plan, s.queue[cursor[k]], p)
            size = next_oldest(s, keys, kinds, size, cursor)
