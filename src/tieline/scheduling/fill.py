"""Fill free capacity in order of value per accelerator, given prices: `shortest` and `price`.

Jobs of one kind wait in order of work, so their value falls along the kind in every market,
and only the head of each kind needs a look.
"""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.offers import best_market, new_lists, tightest_pool, value
from tieline.scheduling.room import Plan, Room, take


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
        where prices are 0 and one market has room: everything before the first job that
        found no room, plus what is free at that moment at that job's value per accelerator.

    Notes
    -----
    O((K + placed) (listed markets + log K)): room only shrinks, so a kind without an offer
    is done.
    """
    keys = np.empty(len(s.kinds), np.float64)
    kinds = np.empty(len(s.kinds), np.int64)
    cheapest = np.empty(s.limit.shape[1], np.float64)
    lists = new_lists(s)
    size = 0
    for k in range(len(s.kinds)):
        cursor[k] = s.kinds[k].start
        if cursor[k] < s.kinds[k].end:
            surplus, m = best_market(s, room, prices, lists, k, s.queue[cursor[k]], cheapest)
            if m >= 0:
                size = push(keys, kinds, size, -surplus, k)
    placed, bound = 0.0, -1.0
    while size > 0:
        k = kinds[0]
        row = s.queue[cursor[k]]
        surplus, m = best_market(s, room, prices, lists, k, row, cheapest)
        p = tightest_pool(s, room, k, m) if m >= 0 else -1
        if m >= 0 and p < 0:
            # Free in sum, but on no node together: the market has no room for this kind.
            room.most[m] = min(room.most[m], s.kinds[k].count - 1)
        elif p < 0:
            if bound < 0.0:
                bound = placed - keys[0] * room.free.sum()
            size = drop_top(keys, kinds, size)
        elif -surplus > keys[0]:
            keys[0] = -surplus
            sift(keys, kinds, size)
        else:
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
