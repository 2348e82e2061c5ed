"""Strict first come, first served: what `fifo` and `isolated` share."""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.room import (
    Plan,
    Room,
    eligible,
    has_room,
    open_room,
    take,
    within_quota,
)


@compiled
def fastest_pool(s: Snapshot, room: Room, k: int, home_only: bool, shut: Array) -> int:
    """Give the pool that runs kind `k` fastest among those with room and not shut, or -1.

    Equal rates: the pool with the fewest free accelerators, then the lowest row.
    """
    best, fastest = -1, 0.0
    for p in range(len(s.pools)):
        if shut[p] or not has_room(s, room, k, p) or not eligible(s, k, p, home_only):
            continue
        if not within_quota(s, room.used, k, p):
            continue
        rate = s.rate[k, s.pools[p].market]
        if rate > fastest or (rate == fastest and room.free[p] < room.free[best]):
            best, fastest = p, rate
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
def plan_in_turn(s: Snapshot, plan: Plan, home_only: bool) -> None:
    """Plan in order of submission; a job that must wait shuts every pool it could use.

    A job that only its tenant's quota holds back shuts nothing: it could not use the pool.

    Notes
    -----
    O(K + (placed + blocked kinds) (P + log K)): once a job waits, so do all of its kind.
    """
    room = open_room(s)
    shut = np.zeros(len(s.pools), np.bool_)
    cursor = s.kinds["start"].copy()
    keys = np.empty(len(s.kinds), np.float64)
    kinds = np.empty(len(s.kinds), np.int64)
    size = oldest_first(s, keys, kinds)
    n_open = 0
    for p in range(len(s.pools)):
        if room.free[p] > 0:
            n_open += 1
        else:
            shut[p] = True
    while size > 0 and n_open > 0:
        k = kinds[0]
        p = fastest_pool(s, room, k, home_only, shut)
        if p < 0:
            for q in range(len(s.pools)):
                could = not shut[q] and eligible(s, k, q, home_only)
                if could and within_quota(s, room.used, k, q):
                    shut[q] = True
                    n_open -= 1
            size = drop_top(keys, kinds, size)
            continue
        take(s, room, plan, s.queue[cursor[k]], p)
        cursor[k] += 1
        if cursor[k] < s.kinds[k].end:
            keys[0] = s.queue[cursor[k]]
            sift(keys, kinds, size)
        else:
            size = drop_top(keys, kinds, size)
