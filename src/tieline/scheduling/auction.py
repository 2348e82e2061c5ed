"""An auction of free accelerators among waiting jobs: prices and an assignment by markets.

A job bids for the market where its surplus is highest. Its bid is the price at which it
would be as well off in its second-best market, plus a small share of its own value; whoever
bid least leaves a market that is over capacity, and bids again. The price of a market is
the highest bid that had to leave it. (Bertsekas 1988, doi 10.1007/BF02186476; with several
units per job, Bertsekas and Castanon 1989, doi 10.1007/BF02592204.)

The increment is relative, `_INCREMENT` x v_j / n_j, not absolute: values of jobs differ by
many orders of magnitude, and each job then is within that share of *its own* value of its
best choice. So the assignment is within that share of the bound, apart from what gangs
leave unused in a market, and contests between large jobs do not take as many steps as those
between small ones are small.
"""

from typing import Final

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.offers import surpluses
from tieline.scheduling.room import Room

#: Share of its own value by which a job overbids. Smaller is more exact and slower: at 0.05
#: about 4 bids a job and a certified gap of 0.3 % at full size (benchmarks/cycle.py).
_INCREMENT: Final = 0.2
#: Bids per candidate after which the auction stops; the bound is certified all the same.
_MOST_BIDS: Final = 64


@compiled
def candidates(s: Snapshot, room: Room, free: Array) -> Array:
    """Give the places in the queue of all jobs that may be planned now, by kind.

    Of each kind only as many as the free accelerators could hold, a last one in part: jobs
    of a kind differ in work alone, so there is a best assignment, whole or fractional, in
    which the first ones are planned.
    """
    most = np.zeros(len(s.kinds), np.int64)
    for k in range(len(s.kinds)):
        n = s.kinds[k].count
        if s.kinds[k].start < s.kinds[k].end:
            for m in range(len(s.markets)):
                if s.rate[k, m] > 0.0 and room.most[m] >= n:
                    most[k] += (free[m] + n - 1) // n
            most[k] = min(most[k], s.kinds[k].end - s.kinds[k].start)
    places = np.empty(most.sum(), np.int64)
    at = 0
    for k in range(len(s.kinds)):
        for q in range(s.kinds[k].start, s.kinds[k].start + most[k]):
            places[at] = q
            at += 1
    return places


@compiled
def _meld(a: int, b: int, bid: Array, child: Array, sibling: Array) -> int:
    """Join two pairing heaps and give the root: the lower bid, then the lower index."""
    if a < 0 or b < 0:
        return max(a, b)
    if bid[b] < bid[a] or (bid[b] == bid[a] and b < a):
        a, b = b, a
    sibling[b] = child[a]
    child[a] = b
    return a


@compiled
def _without_root(root: int, bid: Array, child: Array, sibling: Array) -> int:
    """Remove the root of a pairing heap and give the new one, or -1 (two-pass pairing)."""
    rest, pairs = child[root], -1
    child[root] = -1
    while rest >= 0:
        a, b = rest, sibling[rest]
        rest = sibling[b] if b >= 0 else -1
        sibling[a] = -1
        if b >= 0:
            sibling[b] = -1
        pair = _meld(a, b, bid, child, sibling)
        sibling[pair] = pairs
        pairs = pair
    new = -1
    while pairs >= 0:
        following = sibling[pairs]
        sibling[pairs] = -1
        new = _meld(new, pairs, bid, child, sibling)
        pairs = following
    return new


@compiled
def auction(
    s: Snapshot, room: Room, free: Array, places: Array, order: Array, prices: Array
) -> Array:
    """Give the market won by each candidate, or -1; write the prices.

    Parameters
    ----------
    free
        Shape (M,): free accelerators of each market.
    places, order
        Candidates as places in the queue, and the order in which they bid first.
    prices
        Shape (M,) [finished jobs per accelerator-second]: zeros on entry; written.

    Notes
    -----
    O(bids x M). Never more than `free` is won in any market.
    """
    n_jobs = len(places)
    won = np.full(n_jobs, -1, np.int64)
    bid = np.zeros(n_jobs)
    child, sibling = np.full(n_jobs, -1, np.int64), np.full(n_jobs, -1, np.int64)
    root = np.full(len(s.markets), -1, np.int64)
    left = free.copy()
    scratch = np.empty(len(s.markets), np.float64)
    line = order.copy()  # a ring: each candidate stands in it at most once
    head, size = 0, n_jobs
    for _ in range(_MOST_BIDS * n_jobs):
        if size == 0:
            break
        i = line[head]
        head, size = (head + 1) % n_jobs, size - 1
        row = s.queue[places[i]]
        n = s.kinds[s.jobs[row].kind].count
        surpluses(s, room, prices, row, scratch)
        best, second, m = 0.0, 0.0, -1
        for j in range(len(scratch)):
            if scratch[j] > best:
                best, second, m = scratch[j], best, j
            elif scratch[j] > second:
                second = scratch[j]
        if m < 0:
            continue
        worth = best + n * prices[m]
        bid[i] = prices[m] + (best - second + _INCREMENT * worth) / n
        root[m] = _meld(root[m], i, bid, child, sibling)
        won[i] = m
        left[m] -= n
        while left[m] < 0:
            out = root[m]
            root[m] = _without_root(out, bid, child, sibling)
            won[out] = -1
            left[m] += s.kinds[s.jobs[s.queue[places[out]]].kind].count
            prices[m] = max(prices[m], bid[out])
            line[(head + size) % n_jobs] = out
            size += 1
    return won
