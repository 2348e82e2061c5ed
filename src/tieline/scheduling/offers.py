"""What a job is worth in each market, and the best of them.

The value of starting job j in market m now is v = weight / e, with e the estimated time to
its end there: charge plus work over rate (the generalised c-mu rule). The charge is staging
and whatever else counts like time before the work.
"""

from typing import Final

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.rules.quota import UNLIMITED
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.room import Room

#: Shortest time to the end that is told apart [s]: keeps values finite for empty jobs.
_SHORTEST_S: Final = 1.0
#: Least work that is told apart [s]: keeps 0 x infinity out of markets that bar the job.
_LEAST_WORK_S: Final = 1e-9


@compiled
def value(s: Snapshot, row: int, k: int, m: int) -> float:
    """Give the value of a start in the market now [finished jobs per second]; 0 if barred."""
    work = max(_LEAST_WORK_S, s.jobs[row].work)
    return s.kinds[k].weight / max(_SHORTEST_S, s.charge[k, m] + work * s.pace[k, m])


@compiled
def _weigh(  # noqa: PLR0913, PLR0917 - plain arrays, so that it becomes vector code
    weight: float,
    work: float,
    n: int,
    charge: Array,
    pace: Array,
    prices: Array,
    most: Array,
    out: Array,
) -> None:
    """Write value minus price in every market; below 0 where the gang finds no room.

    Plain rows in, no branches: the compiler turns this into vector instructions.
    """
    for m in range(len(out)):
        run_s = charge[m] + work * pace[m]
        surplus = weight / (run_s if run_s > _SHORTEST_S else _SHORTEST_S) - n * prices[m]  # noqa: FURB136 - max() is no vector instruction here
        out[m] = surplus if most[m] >= n else -1.0


@compiled
def surpluses(s: Snapshot, room: Room, prices: Array, row: int, out: Array) -> None:
    """Write the job's surplus over the price in every market, shape (M,); above 0 = wanted.

    Parameters
    ----------
    prices
        Shape (M,) [finished jobs per accelerator-second].
    """
    k = s.jobs[row].kind
    n, t = s.kinds[k].count, s.kinds[k].tenant
    work = max(_LEAST_WORK_S, s.jobs[row].work)
    _weigh(s.kinds[k].weight, work, n, s.charge[k], s.pace[k], prices, room.most, out)
    if s.limit[t].min() < UNLIMITED:
        for m in range(len(out)):
            if not quota_left(s, room.used, k, s.markets[m].accelerator):
                out[m] = -1.0


@compiled
def quota_left(s: Snapshot, used: Array, k: int, a: int) -> bool:
    """Whether one more job of the kind on model `a` keeps the tenant within its quotas."""
    t, n, total = s.kinds[k].tenant, s.kinds[k].count, s.limit.shape[1] - 1
    return used[t, a] + n <= s.limit[t, a] and used[t, total] + n <= s.limit[t, total]


@compiled
def best_offer(
    s: Snapshot, room: Room, prices: Array, row: int, scratch: Array
) -> tuple[float, int]:
    """Give the highest surplus per accelerator over the markets with room, and its market or -1.

    The surplus may be below 0: a price is no bar where room is left. Equal surplus: the
    market with the lowest row.
    """
    k = s.jobs[row].kind
    n = s.kinds[k].count
    surpluses(s, room, prices, row, scratch)
    best, market = -np.inf, -1
    for m in range(len(scratch)):
        open_to_it = room.most[m] >= n and s.rate[k, m] > 0.0
        if (
            open_to_it
            and scratch[m] > best
            and quota_left(s, room.used, k, s.markets[m].accelerator)
        ):
            best, market = scratch[m], m
    return best / n, market


@compiled
def tightest_pool(s: Snapshot, room: Room, k: int, m: int) -> int:
    """Give the pool of the market with room that the gang fits most tightly, or -1.

    A gang smaller than a node goes where it leaves the least free on its node, so that whole
    nodes stay whole; then, as all others, to the pool with the fewest free accelerators.
    """
    best, n, least = -1, s.kinds[k].count, 0
    for i in range(s.markets[m].first, s.markets[m].last):
        p = s.market_pools[i]
        size = s.pools[p].size
        # `has_room` written out: a call hands over the whole snapshot, 30 times a job's cost.
        if room.free[p] < n or (n <= size and room.largest[p] < n):
            continue
        left = size
        if n < size:
            for node in range(s.pools[p].first, s.pools[p].last):
                spare = room.node_free[node] - n
                if 0 <= spare < left:
                    left = spare
        if best < 0 or left < least or (left == least and room.free[p] < room.free[best]):
            best, least = p, left
    return best
