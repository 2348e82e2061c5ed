"""Which markets a kind of job may prefer at given prices, and the best of them for one job.

The value of starting job j in market m now is v = weight / e, with e the estimated time to
its end there: staging plus work over rate (the generalised c-mu rule).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.room import Room, has_room

#: Shortest time to the end that is told apart [s]: keeps values finite for empty jobs.
_SHORTEST_S: Final = 1.0
#: Markets listed per kind at most. A list holds only markets that no nearer one of the same
#: model undercuts, so it is far shorter than this in practice.
_LISTED: Final = 64


class Lists(NamedTuple):
    """Per kind, the markets worth a look; markets without room make a list stale."""

    markets: NDArray[np.int32]
    """Axes K, at most `_LISTED`."""
    size: NDArray[np.int64]
    """Axis K."""


@compiled
def value(s: Snapshot, row: int, k: int, m: int) -> float:
    """Give the value of starting the job in the market now [finished jobs per second]."""
    run_s = s.stage[k, m] + s.jobs[row].work / s.rate[k, m]
    return s.kinds[k].weight / max(_SHORTEST_S, run_s)


@compiled
def quota_left(s: Snapshot, used: Array, k: int, a: int) -> bool:
    """Whether one more job of the kind on model `a` keeps the tenant within its quotas."""
    t, n, total = s.kinds[k].tenant, s.kinds[k].count, s.limit.shape[1] - 1
    return used[t, a] + n <= s.limit[t, a] and used[t, total] + n <= s.limit[t, total]


@compiled
def list_markets(
    s: Snapshot, room: Room, prices: Array, k: int, cheapest: Array, out: Array
) -> int:
    """List the markets with room that some job of the kind may prefer; give their number.

    A market is left out when another of the same model is no farther and cheaper.

    Parameters
    ----------
    prices
        Shape (M,).
    cheapest
        Shape (A + 1,): scratch.
    out
        Written; as many as fit.
    """
    n, found = s.kinds[k].count, 0
    cheapest[:] = np.inf
    for i in range(len(s.markets)):
        m = s.nearest[k, i]
        a = s.markets[m].accelerator
        if prices[m] > cheapest[a] or room.most[m] < n or s.rate[k, m] <= 0.0:
            continue
        cheapest[a] = prices[m]
        if found < len(out) and quota_left(s, room.used, k, a):
            out[found] = m
            found += 1
    return found


@compiled
def new_lists(s: Snapshot) -> Lists:
    """Give lists that are empty, and so stale."""
    width = min(len(s.markets), _LISTED)
    return Lists(np.empty((len(s.kinds), width), np.int32), np.zeros(len(s.kinds), np.int64))


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
def best_market(
    s: Snapshot, room: Room, prices: Array, lists: Lists, k: int, row: int, cheapest: Array
) -> tuple[float, int]:
    """Give the highest surplus per accelerator for the job, and its market or -1.

    Equal surplus: the market listed first, which is the nearer one.
    """
    n = s.kinds[k].count
    stale = lists.size[k] == 0
    for i in range(lists.size[k]):
        stale |= room.most[lists.markets[k, i]] < n
    if stale:
        lists.size[k] = list_markets(s, room, prices, k, cheapest, lists.markets[k])
    best, market = -np.inf, -1
    for i in range(lists.size[k]):
        m = lists.markets[k, i]
        surplus = value(s, row, k, m) / n - prices[m]
        if surplus > best and quota_left(s, room.used, k, s.markets[m].accelerator):
            best, market = surplus, m
    return best, market
