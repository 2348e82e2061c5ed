"""The clearing: prices that balance demand with what is free, and a certified bound.

    max sum_o v_o x_o   s.t.  sum_{o of j} x_o <= 1,  sum_{o on p} n_o x_o <= free_p,  x >= 0

For any prices lambda >= 0 the dual function

    D(lambda) = sum_j max(0, max_o (v_o - lambda_p n_o)) + sum_p lambda_p free_p

is at least the optimum, so (D - achieved) / D is a certified gap. `clear` lowers D by Polyak
steps, fills at each price vector, and keeps the best of both.
"""

from typing import Final

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.fill import fill, value
from tieline.scheduling.room import Plan, Room, eligible, has_room, within_quota

#: Stop once the certified gap is below this share of the bound.
_TOLERANCE: Final = 1e-3
#: Price steps at most; each costs one pass over the jobs worth more than the prices.
_STEPS: Final = 24


@compiled
def dual(s: Snapshot, room: Room, prices: Array, demand: Array) -> float:
    """Give D(prices) over the options that fit now, and the demand at these prices.

    Parameters
    ----------
    room
        What is free at the start of the decision; read only.
    demand
        Shape (P,) [accelerators]: written. A job with equally good pools spreads its demand
        over them in proportion to what they have free.

    Notes
    -----
    Within a kind the surplus falls with work, so the scan of a kind stops at the first job
    without a surplus: O(K P + P x jobs that are worth their price).
    """
    n_pools = len(s.pools)
    demand[:] = 0.0
    total = 0.0
    for p in range(n_pools):
        total += prices[p] * room.free[p]
    options = np.empty(n_pools, np.int64)
    surplus = np.empty(n_pools, np.float64)
    for k in range(len(s.kinds)):
        if s.kinds[k].start == s.kinds[k].end:
            continue
        n = s.kinds[k].count
        n_options = 0
        for p in range(n_pools):
            if has_room(s, room, k, p) and eligible(s, k, p, False):
                if within_quota(s, room.used, k, p):
                    options[n_options] = p
                    n_options += 1
        if n_options == 0:
            continue
        for q in range(s.kinds[k].start, s.kinds[k].end):
            best = 0.0
            for i in range(n_options):
                p = options[i]
                surplus[i] = value(s, s.queue[q], k, p) - prices[p] * n
                best = max(best, surplus[i])
            if best <= 0.0:
                break
            total += best
            tied = 0.0
            for i in range(n_options):
                if surplus[i] >= best * (1.0 - 1e-9):
                    tied += room.free[options[i]]
            for i in range(n_options):
                if surplus[i] >= best * (1.0 - 1e-9):
                    demand[options[i]] += n * room.free[options[i]] / tied
    return total


@compiled
def polyak_step(prices: Array, demand: Array, free: Array, distance: float) -> None:
    """Move prices along the excess demand by `distance` / |excess|^2; never below 0."""
    norm = 0.0
    for p in range(len(prices)):
        excess = demand[p] - free[p]
        if excess > 0.0 or prices[p] > 0.0:
            norm += excess * excess
    if norm == 0.0:
        return
    for p in range(len(prices)):
        if free[p] > 0:
            step = distance * (demand[p] - free[p]) / norm
            prices[p] = max(0.0, prices[p] + step)


@compiled
def copy_room(room: Room) -> Room:
    """Give a copy that may be reduced."""
    return Room(room.free.copy(), room.largest.copy(), room.node_free.copy(), room.used.copy())


@compiled
def clear(s: Snapshot, room: Room, plan: Plan, cursor: Array) -> tuple[float, float]:
    """Plan the clearing from the last cycle's prices; give its value and certified bound.

    Parameters
    ----------
    room
        What is free at the start; on return what is left.
    cursor
        Shape (K,): written; the first waiting job of each kind that was not placed.
    """
    n_active = 0
    for p in range(len(s.pools)):
        if room.free[p] > 0:
            n_active += 1
    zeros = np.zeros(len(s.pools), np.float64)
    if n_active <= 1:
        return fill(s, room, zeros, plan, cursor)
    prices = s.prices.copy()
    demand = np.empty(len(s.pools), np.float64)
    best_prices = prices.copy()
    best, bound = -1.0, np.inf
    for _ in range(_STEPS):
        bound = min(bound, dual(s, room, prices, demand))
        plan.size[0] = 0
        trial = copy_room(room)
        placed, _unused = fill(s, trial, prices, plan, cursor)
        if placed > best:
            best = placed
            best_prices[:] = prices
        if bound - best <= _TOLERANCE * bound:
            break
        polyak_step(prices, demand, room.free, bound - best)
    plan.size[0] = 0
    placed, _unused = fill(s, room, best_prices, plan, cursor)
    return placed, bound


@compiled
def waiting_prices(s: Snapshot, room: Room, cursor: Array, prices: Array) -> None:
    """Write each pool's price: the highest value per accelerator among those who still wait.

    That is the shadow price of the pool: what one more accelerator-second there would be
    worth. With it no waiting job has a surplus on a full pool, so it is a feasible dual. A
    pool that nobody waits for has price 0.

    Parameters
    ----------
    prices
        Shape (P,) [finished jobs per accelerator-second]: written.
    """
    prices[:] = 0.0
    for k in range(len(s.kinds)):
        if cursor[k] >= s.kinds[k].end:
            continue
        row = s.queue[cursor[k]]
        for p in range(len(s.pools)):
            if eligible(s, k, p, False) and within_quota(s, room.used, k, p):
                prices[p] = max(prices[p], value(s, row, k, p) / s.kinds[k].count)
