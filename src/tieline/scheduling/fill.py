"""Fill free capacity in order of value per accelerator, given prices: `shortest` and `price`.

Jobs of one kind wait in order of work, so their value falls along the kind in every market,
and only the head of each kind needs a look.
"""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.offers import best_offer, tightest_pool, value
from tieline.scheduling.room import Plan, Room, take


@compiled
def next_waiting(s: Snapshot, planned: Array, cursor: Array, k: int) -> bool:
    """Move the cursor of the kind past planned jobs; False when none is left."""
    while cursor[k] < s.kinds[k].end and planned[cursor[k]]:
        cursor[k] += 1
    return cursor[k] < s.kinds[k].end


@compiled
def fill(
    s: Snapshot, room: Room, prices: Array, plan: Plan, planned: Array, cursor: Array
) -> tuple[float, float]:
    """Plan placements by falling surplus per accelerator until nothing more fits.

    Parameters
    ----------
    prices
        Shape (M,) [finished jobs per accelerator-second], >= 0; zeros give the plain greedy
        order (least remaining accelerator-time first).
    planned
        Axis Q: whether the job at that place of the queue has been planned; written.
    cursor
        Shape (K,): written; the first job of each kind that was not planned.

    Returns
    -------
    tuple of float
        The value placed here, and an upper bound on the value of any placement that is valid
        where prices are 0 and one market has room: everything before the first job that
        found no room, plus what is free at that moment at that job's value per accelerator.

    Notes
    -----
    O((K + placed) (M + log K)): room only shrinks, so a kind without an offer is done.
    """
    keys = np.empty(len(s.kinds), np.float64)
    kinds = np.empty(len(s.kinds), np.int64)
    scratch = np.empty(len(s.markets), np.float64)
    size = 0
    for k in range(len(s.kinds)):
        cursor[k] = s.kinds[k].start
        if next_waiting(s, planned, cursor, k):
            surplus, m = best_offer(s, room, prices, s.queue[cursor[k]], scratch)
            if m >= 0:
                size = push(keys, kinds, size, -surplus, k)
    placed, bound = 0.0, -1.0
    while size > 0:
        k = kinds[0]
        row = s.queue[cursor[k]]
        surplus, m = best_offer(s, room, prices, row, scratch)
        p = tightest_pool(s, room, k, m) if m >= 0 else -1
        if m >= 0 and p < 0:
            # Free in sum, but on no node together: the market has no room for this gang.
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
            planned[cursor[k]] = True
            if next_waiting(s, planned, cursor, k):
                row = s.queue[cursor[k]]
                keys[0] = prices[m] - value(s, row, k, m) / s.kinds[k].count
                sift(keys, kinds, size)
            else:
                size = drop_top(keys, kinds, size)
    return placed, max(placed, bound)
