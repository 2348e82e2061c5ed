"""Fill free capacity in order of value per accelerator, given prices: `shortest` and `price`.

The value of starting job j on pool p now is v = weight / e, with e the estimated time to its
end there (the generalised c-mu rule). Jobs of one kind wait in order of work, so v falls
along a kind on every pool, and only the head of each kind needs a look.
"""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.room import Plan, Room, has_room, take, within_quota

#: Shortest time to the end that is told apart [s]: keeps values finite for empty jobs.
_SHORTEST_S = 1.0


@compiled
def value(s: Snapshot, row: int, k: int, m: int) -> float:
    """Give the value of starting the job in the market now [finished jobs per second]."""
    run_s = s.stage[k, m] + s.jobs[row].work / s.rate[k, m]
    return s.kinds[k].weight / max(_SHORTEST_S, run_s)


@compiled
def tightest_pool(s: Snapshot, room: Room, k: int, m: int) -> int:
    """Give the pool of the market with room and the fewest free accelerators, or -1."""
    best = -1
    for i in range(s.markets[m].first, s.markets[m].last):
        p = s.market_pools[i]
        if has_room(s, room, k, p) and (best < 0 or room.free[p] < room.free[best]):
            best = p
    return best


@compiled
def best_offer(s: Snapshot, room: Room, prices: Array, k: int, row: int) -> tuple[float, int]:
    """Give the highest surplus per accelerator over the pools with room, and its pool or -1.

    `prices` is shape (M,). Equal surplus: the market with the lowest row.
    """
    n = s.kinds[k].count
    best, pool = -np.inf, -1
    for m in range(len(s.markets)):
        if room.most[m] < n or s.rate[k, m] <= 0.0:
            continue
        surplus = value(s, row, k, m) / n - prices[m]
        if surplus <= best:
            continue
        p = tightest_pool(s, room, k, m)
        if p >= 0 and within_quota(s, room.used, k, p):
            best, pool = surplus, p
    return best, pool


@compiled
def fill(s: Snapshot, room: Room, prices: Array, plan: Plan, cursor: Array) -> tuple[float, float]:
    """Plan placements by falling surplus per accelerator until nothing more fits.

    Parameters
    ----------
    prices
        Shape (M,) [finished jobs per accelerator-second], >= 0; zeros give the plain greedy
        order (least remaining accelerator-time first).
    cursor
        Shape (K,): written; the first job of each kind that was not placed.

    Returns
    -------
    tuple of float
        The value placed, and an upper bound on the value of any placement that is valid
        where prices are 0 and one market has room: everything before the first job that found
        no room, plus what is free at that moment at that job's value per accelerator.

    Notes
    -----
    O((K + placed) (M + log K)): room only shrinks, so a kind without an offer is done.
    """
    keys = np.empty(len(s.kinds), np.float64)
    kinds = np.empty(len(s.kinds), np.int64)
    size = 0
    for k in range(len(s.kinds)):
        cursor[k] = s.kinds[k].start
        if cursor[k] < s.kinds[k].end:
            surplus, p = best_offer(s, room, prices, k, s.queue[cursor[k]])
            if p >= 0:
                size = push(keys, kinds, size, -surplus, k)
    placed, bound = 0.0, -1.0
    while size > 0:
        k = kinds[0]
        row = s.queue[cursor[k]]
        surplus, p = best_offer(s, room, prices, k, row)
        if p < 0:
            if bound < 0.0:
                bound = placed - keys[0] * room.free.sum()
            size = drop_top(keys, kinds, size)
        elif -surplus > keys[0]:
            keys[0] = -surplus
            sift(keys, kinds, size)
        else:
            m = s.pools[p].market
            placed += value(s, row, k, m)
            take(s, room, plan, row, p)
            cursor[k] += 1
            if cursor[k] < s.kinds[k].end:
                row = s.queue[cursor[k]]
                keys[0] = prices[m] - value(s, row, k, m) / s.kinds[k].count
                sift(keys, kinds, size)
            else:
                size = drop_top(keys, kinds, size)
    return placed, max(placed, bound)
