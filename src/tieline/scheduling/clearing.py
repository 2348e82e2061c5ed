"""The clearing: who gets the free accelerators, at which prices, with a certified bound.

    max sum_o v_o x_o   s.t.  sum_{o of j} x_o <= 1,  sum_{o on m} n_o x_o <= free_m,  x >= 0

For any prices lambda >= 0 the dual function

    D(lambda) = sum_j max(0, max_o (v_o - lambda_m n_o)) + sum_m lambda_m free_m

is at least the optimum, so (D - achieved) / D is a certified gap. An auction finds prices and
an assignment; the greedy order by value per accelerator gives another. Where few candidates
matter, the better one is improved by assigning pairs of markets anew.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.model.snapshot import Snapshot
from tieline.scheduling.auction import auction, candidates
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.exchange import assignment, exchange
from tieline.scheduling.fill import fill
from tieline.scheduling.offers import quota_left, surpluses, tightest_pool, value
from tieline.scheduling.room import Plan, Room, take, within_quota

#: Certified gap that is good enough to stop at.
_TOLERANCE: Final = 1e-3
#: Up to this many candidates the prices are refined beyond the auction: then a single gang
#: matters, and a fill costs microseconds.
_SMALL: Final = 512
#: Price steps of a refinement at most.
_STEPS: Final = 24


class Draft(NamedTuple):
    """A plan that is laid anew again and again."""

    start: Room
    """What is free at the start; read only."""
    room: Room
    """What the plan as laid leaves."""
    plan: Plan
    cursor: NDArray[np.int64]
    """Shape (K,): the first waiting job of each kind that the plan leaves out."""
    places: NDArray[np.int64]
    """Shape (candidates,): places in the queue."""


@compiled
def market_free(s: Snapshot, room: Room) -> Array:
    """Give the free accelerators of each market, shape (M,)."""
    free = np.zeros(len(s.markets), np.int64)
    for p in range(len(s.pools)):
        free[s.pools[p].market] += room.free[p]
    return free


@compiled
def dual(
    s: Snapshot, room: Room, prices: Array, free: Array, places: Array, demand: Array
) -> float:
    """Give D(prices) over the candidates and the markets that have room for them now.

    Parameters
    ----------
    room
        What is free at the start of the decision; read only.
    free
        Shape (M,): `market_free(s, room)`.
    places
        `candidates(s, room, free)`: no other job can add to the best placement.
    demand
        Shape (M,) [accelerators]: written; what the candidates want at these prices.
    """
    scratch = np.empty(len(s.markets), np.float64)
    total = (prices * free).sum()
    demand[:] = 0.0
    for q in places:
        row = s.queue[q]
        surpluses(s, room, prices, row, scratch)
        m = np.argmax(scratch)
        if scratch[m] > 0.0:
            total += scratch[m]
            demand[m] += s.kinds[s.jobs[row].kind].count
    return total


@compiled
def polyak_step(prices: Array, demand: Array, free: Array, distance: float) -> None:
    """Move prices along the relative excess demand, as far as Polyak's rule says; never below 0.

    The metric weighs each market by what it has free, so that a small market moves as fast
    as a large one: step = distance / sum_m free_m e_m^2, with e_m = (demand - free) / free.
    """
    norm = 0.0
    for m in range(len(prices)):
        excess = demand[m] - free[m]
        if free[m] > 0 and (excess > 0.0 or prices[m] > 0.0):
            norm += excess * excess / free[m]
    for m in range(len(prices)):
        if free[m] > 0 and norm > 0.0:
            step = distance * (demand[m] - free[m]) / free[m] / norm
            prices[m] = max(0.0, prices[m] + step)


@compiled
def _by_value(s: Snapshot, room: Room, places: Array) -> Array:
    """Give the order of the candidates by falling value per accelerator in their best market."""
    scratch = np.empty(len(s.markets), np.float64)
    none = np.zeros(len(s.markets), np.float64)
    keys = np.empty(len(places), np.float64)
    for i in range(len(places)):
        row = s.queue[places[i]]
        surpluses(s, room, none, row, scratch)
        keys[i] = -scratch.max() / s.kinds[s.jobs[row].kind].count
    return np.argsort(keys, kind="mergesort")


@compiled
def _seat_winners(
    s: Snapshot, room: Room, plan: Plan, places: Array, order: Array, won: Array, planned: Array
) -> float:
    """Plan the winners of the auction in the order given; give their value.

    A winner that finds no pool with its gang together, or its tenant's quota used up, stays
    unplanned.
    """
    placed = 0.0
    for i in order:
        if won[i] >= 0:
            row = s.queue[places[i]]
            k = s.jobs[row].kind
            p = tightest_pool(s, room, k, won[i])
            if p >= 0 and within_quota(s, room.used, k, p):
                placed += value(s, row, k, won[i])
                take(s, room, plan, row, p)
                planned[places[i]] = True
    return placed


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
def _lay(s: Snapshot, d: Draft, order: Array, won: Array, prices: Array) -> float:
    """Lay the plan anew: seat the winners in the order given, then fill; give its value."""
    start, room = d.start, d.room
    room.free[:], room.largest[:], room.most[:] = start.free, start.largest, start.most
    room.node_free[:], room.used[:] = start.node_free, start.used
    d.plan.size[0] = 0
    planned = np.zeros(len(s.queue), np.bool_)
    placed = _seat_winners(s, room, d.plan, d.places, order, won, planned)
    more, _unused = fill(s, room, prices, d.plan, planned, d.cursor)
    return placed + more


@compiled
def _refine(s: Snapshot, d: Draft, free: Array, prices: Array, best: float) -> tuple[float, float]:
    """Walk the prices downhill on D and fill at each step; give the best value and bound met.

    Writes to `prices` those at which the best fill was met; leaves them when none of the
    fills beats `best`.
    """
    trial, demand = prices.copy(), np.empty(len(prices), np.float64)
    nobody, bound = np.zeros(0, np.int64), np.inf
    for _ in range(_STEPS):
        bound = min(bound, dual(s, d.start, trial, free, d.places, demand))
        placed = _lay(s, d, nobody, nobody, trial)
        if placed > best:
            best = placed
            prices[:] = trial
        if bound - best <= _TOLERANCE * bound:
            break
        polyak_step(trial, demand, free, bound - best)
    return best, bound


@compiled
def _by_size(s: Snapshot, places: Array) -> Array:
    """Give the order of the candidates by falling gang size: large ones find seats first."""
    sizes = np.empty(len(places), np.int64)
    for i in range(len(places)):
        sizes[i] = s.kinds[s.jobs[s.queue[places[i]]].kind].count
    return np.argsort(-sizes, kind="mergesort")


@compiled
def _improve(
    s: Snapshot, d: Draft, free: Array, order: Array, won: Array, prices: Array, placed: float
) -> float:
    """Exchange jobs between markets, starting from the plan as laid; keep the better plan.

    Parameters
    ----------
    order, won, prices
        What the plan was laid from.
    """
    better = assignment(s, d.plan, d.places)
    exchange(s, d.start, free, d.places, better)
    improved = _lay(s, d, _by_size(s, d.places), better, prices)
    return improved if improved > placed else _lay(s, d, order, won, prices)


@compiled
def _clear_many(s: Snapshot, d: Draft, free: Array) -> tuple[float, float]:
    """Plan the clearing of several markets."""
    prices, demand = np.zeros(len(free), np.float64), np.empty(len(free), np.float64)
    order = _by_value(s, d.start, d.places)
    won = auction(s, d.start, free, d.places, order, prices)
    bound = dual(s, d.start, prices, free, d.places, demand)
    placed = _lay(s, d, order, won, prices)
    if bound - placed <= _TOLERANCE * bound or len(d.places) > _SMALL:
        return placed, bound
    refined, lower = _refine(s, d, free, prices, placed)
    bound = min(bound, lower)
    if refined > placed:
        won[:] = -1
    placed = _lay(s, d, order, won, prices)
    if bound - placed > _TOLERANCE * bound:
        placed = _improve(s, d, free, order, won, prices, placed)
    return placed, bound


@compiled
def clear(s: Snapshot, room: Room, plan: Plan, cursor: Array) -> tuple[float, float]:
    """Plan the clearing; give its value and certified bound.

    Parameters
    ----------
    room
        What is free at the start; on return what is left.
    cursor
        Shape (K,): written; the first waiting job of each kind that was not planned.
    """
    free = market_free(s, room)
    if np.count_nonzero(free) > 1:
        draft = Draft(copy_room(room), room, plan, cursor, candidates(s, room, free))
        placed, bound = _clear_many(s, draft, free)
        return placed, max(placed, bound)
    start, no_prices = copy_room(room), np.zeros(len(free), np.float64)
    planned = np.zeros(len(s.queue), np.bool_)
    placed, bound = fill(s, room, no_prices, plan, planned, cursor)
    if bound - placed > _TOLERANCE * bound:
        places = candidates(s, start, free)
        if len(places) <= _SMALL:
            draft = Draft(start, room, plan, cursor, places)
            nobody = np.zeros(0, np.int64)
            placed = _improve(s, draft, free, nobody, nobody, no_prices, placed)
    return placed, max(placed, bound)


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
