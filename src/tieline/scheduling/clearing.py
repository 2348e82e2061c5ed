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
from tieline.scheduling.fill import fill
from tieline.scheduling.offers import list_markets, quota_left, value
from tieline.scheduling.room import Plan, Room

#: Stop once the certified gap is below this share of the bound.
_TOLERANCE: Final = 1e-3
#: Price steps at most; each costs a pass over the jobs worth their price, and a fill.
_STEPS: Final = 24
#: Above this many waiting jobs a pass is dear: prices are first moved on a sample of kinds,
#: then by a few full passes, with one fill before and one after. See benchmarks/cycle.py.
_LARGE: Final = 4096
_LARGE_STEPS: Final = 6
_SAMPLED_STEPS: Final = 40
_SAMPLE: Final = 512
#: Sampled steps aim this far below the lowest value seen.
_AIM: Final = 0.02


@compiled
def market_free(s: Snapshot, room: Room) -> Array:
    """Give the free accelerators of each market, shape (M,)."""
    free = np.zeros(len(s.markets), np.int64)
    for p in range(len(s.pools)):
        free[s.pools[p].market] += room.free[p]
    return free


@compiled
def _share(n: int, markets: Array, best: Array, free: Array, demand: Array) -> None:
    """Add a demand of `n` to the best of the markets, by what they have free."""
    total = 0.0
    for i in range(len(markets)):
        if best[i]:
            total += free[markets[i]]
    for i in range(len(markets)):
        if best[i]:
            demand[markets[i]] += n * free[markets[i]] / total


@compiled
def dual(s: Snapshot, room: Room, prices: Array, free: Array, demand: Array, stride: int) -> float:
    """Give D(prices) over the options that fit now, and the demand at these prices.

    Parameters
    ----------
    room
        What is free at the start of the decision; read only.
    free
        Shape (M,): `market_free(s, room)`.
    demand
        Shape (M,) [accelerators]: written. A job with equally good markets spreads its
        demand over them in proportion to what they have free.
    stride
        Look at every stride-th kind only and scale up: an estimate, no bound, unless it is 1.

    Notes
    -----
    Within a kind the surplus falls with work in every market, so markets drop out for good
    as the scan of a kind goes on, and it stops when none is left.
    """
    demand[:] = 0.0
    surpluses = 0.0
    markets = np.empty(len(s.markets), np.int32)
    surplus = np.empty(len(s.markets), np.float64)
    cheapest = np.empty(s.limit.shape[1], np.float64)
    for k in range(0, len(s.kinds), stride):
        if s.kinds[k].start == s.kinds[k].end:
            continue
        n = s.kinds[k].count
        left = list_markets(s, room, prices, k, cheapest, markets)
        for q in range(s.kinds[k].start, s.kinds[k].end):
            best, kept = 0.0, 0
            for i in range(left):
                m = markets[i]
                gain = value(s, s.queue[q], k, m) - prices[m] * n
                if gain > 0.0:
                    markets[kept], surplus[kept] = m, gain
                    kept += 1
                    best = max(best, gain)
            left = kept
            if left == 0:
                break
            surpluses += best
            _share(n, markets[:left], surplus[:left] >= best * (1.0 - 1e-9), free, demand)
    total = surpluses * stride
    for m in range(len(s.markets)):
        demand[m] *= stride
        total += prices[m] * free[m]
    return total


@compiled
def polyak_step(prices: Array, demand: Array, free: Array, distance: float) -> None:
    """Move prices along the relative excess demand, as far as Polyak's rule says; never below 0.

    The metric weighs each market by what it has free, so that a small market moves as fast
    as a large one: step = distance / sum_m free_m e_m^2, with e_m = (demand - free) / free.
    """
    norm = 0.0
    for m in range(len(prices)):
        if free[m] > 0:
            excess = demand[m] - free[m]
            if excess > 0.0 or prices[m] > 0.0:
                norm += excess * excess / free[m]
    if norm == 0.0:
        return
    for m in range(len(prices)):
        if free[m] > 0:
            step = distance * (demand[m] - free[m]) / free[m] / norm
            prices[m] = max(0.0, prices[m] + step)


@compiled
def copy_room(room: Room) -> Room:
    """Give a copy that may be reduced."""
    return Room(
        room.free.copy(),
        room.largest.copy(),
        room.most.copy(),
        room.node_free.copy(),
        room.used.copy(),
    )


@compiled
def _estimate_prices(s: Snapshot, room: Room, prices: Array, free: Array, stride: int) -> None:
    """Move prices towards balance on a sample of the kinds: cheap steps before certified ones."""
    demand = np.empty(len(s.markets), np.float64)
    trial, lowest = prices.copy(), np.inf
    for _ in range(_SAMPLED_STEPS):
        bound = dual(s, room, trial, free, demand, stride)
        if bound < lowest:
            lowest = bound
            prices[:] = trial
        polyak_step(trial, demand, free, bound - lowest * (1.0 - _AIM))


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
    free = market_free(s, room)
    prices = np.zeros(len(s.markets), np.float64)
    if np.count_nonzero(free) <= 1:
        return fill(s, room, prices, plan, cursor)
    for p in range(len(s.pools)):
        prices[s.pools[p].market] = s.prices[p]
    n_waiting = (s.kinds["end"] - s.kinds["start"]).sum()
    large = n_waiting > _LARGE
    if large:
        _estimate_prices(s, room, prices, free, max(1, len(s.kinds) // _SAMPLE))
    demand = np.empty(len(s.markets), np.float64)
    best_prices = prices.copy()
    best, bound = -1.0, np.inf
    for step in range(_LARGE_STEPS if large else _STEPS):
        bound = min(bound, dual(s, room, prices, free, demand, 1))
        if step == 0 or not large:
            plan.size[0] = 0
            trial = copy_room(room)
            placed, _unused = fill(s, trial, prices, plan, cursor)
            if placed > best:
                best = placed
                best_prices[:] = prices
        if bound - best <= _TOLERANCE * bound:
            break
        polyak_step(prices, demand, free, bound - best)
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
    by_market = np.zeros(len(s.markets), np.float64)
    capacity = np.zeros(len(s.markets), np.int64)
    for p in range(len(s.pools)):
        capacity[s.pools[p].market] = max(capacity[s.pools[p].market], s.pools[p].capacity)
    for k in range(len(s.kinds)):
        if cursor[k] >= s.kinds[k].end:
            continue
        row, n = s.queue[cursor[k]], s.kinds[k].count
        for m in range(len(s.markets)):
            if n > capacity[m]:
                continue  # it can never run there, so it bids for nothing
            if s.rate[k, m] > 0.0 and quota_left(s, room.used, k, s.markets[m].accelerator):
                by_market[m] = max(by_market[m], value(s, row, k, m) / n)
    for p in range(len(s.pools)):
        prices[p] = by_market[s.pools[p].market]
