"""The auction: who wins what, at which prices."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tieline.model.snapshot import Snapshot
from tieline.scheduling.auction import auction, candidates
from tieline.scheduling.clearing import dual, market_free
from tieline.scheduling.offers import value
from tieline.scheduling.policies.price import PRICE
from tieline.scheduling.room import Room, open_room
from twins.cases import Case, drawn_market

INCREMENT = 0.2
"""By this share of its own value a job may end up with less than its best choice."""

seeds = st.integers(0, 10**6)


@dataclass
class Result:
    """An auction that is over."""

    s: Snapshot
    room: Room
    free: np.ndarray
    places: np.ndarray
    prices: np.ndarray
    won: np.ndarray

    def of(self, i: int) -> tuple[int, int, int]:
        """Give row, kind and accelerators of a candidate."""
        row = int(self.s.queue[self.places[i]])
        k = int(self.s.jobs[row]["kind"])
        return row, k, int(self.s.kinds[k]["count"])

    def surplus(self, i: int, m: int) -> float:
        """Give what a candidate would gain in a market at the final prices; -inf if barred."""
        row, k, n = self.of(i)
        if self.s.rate[k, m] <= 0 or self.room.most[m] < n:
            return -np.inf
        return float(value(self.s, row, k, m) - n * self.prices[m])


def held(case: Case, seed: int) -> Result:
    """Hold the auction among all jobs of a case, who bid in an order from the seed."""
    state = case.state(PRICE)
    state.lay_queue_anew(np.arange(len(case.jobs)))
    s = state.snapshot
    room = open_room(s)
    free, prices = market_free(s, room), np.zeros(len(s.markets))
    places = candidates(s, room, free)
    order = np.random.default_rng(seed).permutation(len(places))
    won = auction(s, room, free, places, order, prices)
    return Result(s, room, free, places, prices, won)


@given(seeds)
def test_no_market_gives_more_than_it_has(seed: int) -> None:
    """What is won in a market fits it, and each winner may run there and has room there."""
    result = held(drawn_market(seed), seed)
    sold = np.zeros(len(result.free))
    for i, m in enumerate(result.won):
        if m >= 0:
            _row, k, n = result.of(i)
            assert result.s.rate[k, m] > 0
            assert result.room.most[m] >= n
            sold[m] += n
    assert (sold <= result.free).all()
    assert (result.prices >= 0).all()


@given(seeds)
def test_nobody_would_rather_be_elsewhere(seed: int) -> None:
    """At the final prices each winner is within the increment of its best choice.

    And no loser would gain anything anywhere.
    """
    result = held(drawn_market(seed), seed)
    for i, m in enumerate(result.won):
        row, k, _n = result.of(i)
        best = max(0.0, *(result.surplus(i, other) for other in range(len(result.free))))
        if m >= 0:
            worth = value(result.s, row, k, m)
            assert result.surplus(i, m) >= best - INCREMENT * worth * (1 + 1e-9)
        else:
            assert best <= 1e-12


@given(seeds)
def test_single_accelerators_are_assigned_within_the_increment_of_the_best(seed: int) -> None:
    """Without gangs the bound is at most 1 + increment times the value that was won."""
    result = held(drawn_market(seed, counts=[1]), seed)
    won = sum(
        value(result.s, *result.of(i)[:2], int(m)) for i, m in enumerate(result.won) if m >= 0
    )
    demand = np.empty(len(result.free))
    bound = dual(result.s, result.room, result.prices, result.free, result.places, demand)
    assert won <= bound * (1 + 1e-9)
    assert bound <= won * (1 + INCREMENT) * (1 + 1e-9)


@given(seeds)
def test_who_is_no_candidate_could_not_add_anything(seed: int) -> None:
    """Of each kind the jobs with least work are candidates, as many as could ever fit."""
    case = drawn_market(seed)
    result = held(case, seed)
    rows = {int(result.s.queue[place]) for place in result.places}
    for k, own in enumerate(case.kinds):
        mine = [row for row, job in enumerate(case.jobs) if job.kind == k]
        mine.sort(key=lambda row: (case.jobs[row].run, row))
        fit = sum(
            -(-int(result.free[m]) // own.count)
            for m in range(len(result.free))
            if result.s.rate[k, m] > 0 and result.room.most[m] >= own.count
        )
        assert [row for row in mine if row in rows] == mine[:fit]
