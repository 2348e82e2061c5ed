"""Improve an assignment of few candidates: two markets at a time are assigned anew, exactly.

A fill by prices leaves a remainder in each market that no waiting gang is small enough for, and
where few gangs matter that is what keeps it from the best. With all else as it is, the best
assignment of two markets is a knapsack problem with two capacities, and the capacities are small
whole numbers: a table of the best value by capacity solves it (dynamic programming). Each pair
in turn, until none gains.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.offers import surpluses
from tieline.scheduling.room import Plan, Room

#: Entries of tables that are worked out in one decision at most: about a nanosecond each.
_MOST_ENTRIES: Final = 1_000_000
#: The same for one pair of markets; candidates whose place is clearest stay where they are.
_MOST_ENTRIES_OF_A_PAIR: Final = 100_000
#: Share of the value that counts as a gain, above rounding.
_LEAST_GAIN: Final = 1e-9
#: What may become of a candidate in a pair of markets.
_OUT: Final = 0
_IN_FIRST: Final = 1
_IN_SECOND: Final = 2


class Contest(NamedTuple):
    """Candidates, and markets that they are assigned to. Axes: C candidates, M markets.

    Axis M has one more than there are, without room: the second of the pair where there is
    only one.
    """

    worth: NDArray[np.float64]
    """Axes C, M: value; not above 0 where it finds no room."""
    gang: NDArray[np.int64]
    """Axis C: accelerators."""
    won: NDArray[np.int64]
    """Axis C: the market it is assigned to, or -1."""
    left: NDArray[np.int64]
    """Axis M: accelerators that are left."""
    margin: NDArray[np.float64]
    """Axis M: the highest value per accelerator among those assigned to none."""


@compiled
def assignment(s: Snapshot, plan: Plan, places: Array) -> Array:
    """Give the market in which each candidate is planned, or -1."""
    rows = s.queue[places]
    order = np.argsort(rows)
    rows = rows[order]
    found = np.full(len(places), -1, np.int64)
    for i in range(plan.size[0]):
        at = np.searchsorted(rows, plan.placements[i].row)
        found[order[at]] = s.pools[plan.placements[i].pool].market
    return found


@compiled
def _contest(s: Snapshot, room: Room, free: Array, places: Array, won: Array) -> Contest:
    """Give the contest as the assignment leaves it."""
    n, n_markets = len(places), len(s.markets)
    worth, gang = np.full((n, n_markets + 1), -1.0), np.empty(n, np.int64)
    left, margin = np.zeros(n_markets + 1, np.int64), np.zeros(n_markets + 1, np.float64)
    no_prices = np.zeros(n_markets, np.float64)
    left[:-1] = free
    for i in range(n):
        row = s.queue[places[i]]
        gang[i] = s.kinds[s.jobs[row].kind].count
        surpluses(s, room, no_prices, row, worth[i, :-1])
        if won[i] >= 0:
            left[won[i]] -= gang[i]
        else:
            margin = np.maximum(margin, worth[i] / gang[i])
    return Contest(worth, gang, won, left, margin)


@compiled
def _contested(c: Contest, a: int, b: int) -> Array:
    """Give the candidates for two markets that are in no other, the least clear ones first."""
    found, clear = np.empty(len(c.won), np.int64), np.empty(len(c.won), np.float64)
    n = 0
    for i in range(len(c.won)):
        is_elsewhere = c.won[i] >= 0 and c.won[i] != a and c.won[i] != b
        if is_elsewhere or max(c.worth[i, a], c.worth[i, b]) <= 0.0:
            continue
        gain_a = c.worth[i, a] - c.margin[a] * c.gang[i] if c.worth[i, a] > 0.0 else -np.inf
        gain_b = c.worth[i, b] - c.margin[b] * c.gang[i] if c.worth[i, b] > 0.0 else -np.inf
        best = max(gain_a, gain_b)
        found[n], clear[n] = i, min(abs(best), best - max(0.0, min(gain_a, gain_b)))
        n += 1
    return found[np.argsort(clear[:n], kind="mergesort")]


@compiled
def _capacities(c: Contest, items: Array, a: int, b: int) -> Array:
    """Give what two markets have for these candidates: what is left, and what they hold now."""
    most = np.array([c.left[a], c.left[b]])
    for i in items:
        if c.won[i] == a:
            most[0] += c.gang[i]
        elif c.won[i] == b:
            most[1] += c.gang[i]
    return most


@compiled
def _best_choice(c: Contest, items: Array, most: Array, a: int, b: int) -> tuple[float, Array]:
    """Give the best value of these candidates, and what becomes of each by capacity.

    Parameters
    ----------
    most
        Shape (2,): capacities of the two markets.
    """
    best = np.zeros((most[0] + 1, most[1] + 1), np.float64)
    choice = np.zeros((len(items), most[0] + 1, most[1] + 1), np.uint8)
    for i in range(len(items)):
        n, in_a, in_b = c.gang[items[i]], c.worth[items[i], a], c.worth[items[i], b]
        # From the highest capacity down: what lies below is still without this candidate.
        for x in range(most[0], -1, -1):
            for y in range(most[1], -1, -1):
                if in_a > 0.0 and x >= n and best[x - n, y] + in_a > best[x, y]:
                    best[x, y] = best[x - n, y] + in_a
                    choice[i, x, y] = _IN_FIRST
                if in_b > 0.0 and y >= n and best[x, y - n] + in_b > best[x, y]:
                    best[x, y] = best[x, y - n] + in_b
                    choice[i, x, y] = _IN_SECOND
    return best[most[0], most[1]], choice


@compiled
def _follow(c: Contest, items: Array, choice: Array, most: Array, a: int, b: int) -> None:
    """Assign as the table says."""
    x, y = most
    for i in range(len(items) - 1, -1, -1):
        fate, one = choice[i, x, y], items[i]
        c.won[one] = -1
        if fate == _IN_FIRST:
            c.won[one] = a
            x -= c.gang[one]
        elif fate == _IN_SECOND:
            c.won[one] = b
            y -= c.gang[one]
    c.left[a], c.left[b] = x, y


@compiled
def _assign_anew(c: Contest, a: int, b: int) -> tuple[int, bool]:
    """Assign two markets anew; give the entries worked out, and whether there was a gain."""
    items = _contested(c, a, b)
    most = _capacities(c, items, a, b)
    while len(items) * (most[0] + 1) * (most[1] + 1) > _MOST_ENTRIES_OF_A_PAIR:
        items = items[: len(items) * 3 // 4]
        most = _capacities(c, items, a, b)
    now = 0.0
    for i in items:
        if c.won[i] >= 0:
            now += c.worth[i, c.won[i]]
    best, choice = _best_choice(c, items, most, a, b)
    gains = best > now * (1.0 + _LEAST_GAIN)
    if gains:
        _follow(c, items, choice, most, a, b)
    return choice.size + len(c.won), gains


@compiled
def exchange(s: Snapshot, room: Room, free: Array, places: Array, won: Array) -> None:
    """Improve an assignment of candidates to markets until no pair of markets gains.

    Parameters
    ----------
    room, free
        What is free at the start of the decision, by pool and by market.
    won
        Shape (candidates,): the market of each, or -1; written. Never more than `free` in any
        market; nodes and what a tenant's quota leaves for jobs together are not looked at.

    Notes
    -----
    O(candidates x M), and at most about `_MOST_ENTRIES` steps.
    """
    c = _contest(s, room, free, places, won)
    markets = np.flatnonzero(free)
    if len(markets) == 1:
        markets = np.array([markets[0], len(free)])
    # An order that does not depend on how markets are numbered.
    wanted = np.array([np.maximum(c.worth[:, m], 0.0).sum() for m in markets])
    markets = markets[np.argsort(-wanted, kind="mergesort")]
    n_pairs = len(markets) * (len(markets) - 1) // 2
    entries, since_gain, i, j = 0, 0, 1, 0
    while entries < _MOST_ENTRIES and since_gain < n_pairs:
        more, gains = _assign_anew(c, markets[j], markets[i])
        entries += more
        since_gain = 0 if gains else since_gain + 1
        j += 1
        if j == i:
            i, j = i % (len(markets) - 1) + 1, 0
